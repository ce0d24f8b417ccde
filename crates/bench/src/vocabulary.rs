//! The words that made-up entries are made of.

pub(crate) const ACTIONS: &[&str] = &[
    "document.read",
    "document.read",
    "document.read",
    "document.read",
    "document.update",
    "document.share",
    "document.delete",
    "session.create",
    "session.end",
    "user.login",
    "user.login",
    "user.password_change",
    "role.assign",
    "report.export",
    "apikey.create",
    "invoice.approve",
];

pub(crate) const OUTCOMES: &[&str] = &[
    "success", "success", "success", "success", "success", "success", "success", "failure",
    "failure", "denied",
];

pub(crate) const AGENTS: &[&str] = &[
    "mobile/4.18.2 (Android 15)",
    "mobile/4.18.2 (iOS 18.1)  ",
    "console/2026.3 (Firefox)  ",
    "console/2026.3 (Chromium) ",
    "batch-runner/1.44 (Linux) ",
];

pub(crate) const REGIONS: &[&str] = &["eu-central-1", "eu-west-3   ", "us-east-1   "];

pub(crate) const IMAGES: &[&str] = &[
    r"C:\\Windows\\System32\\svchost.exe",
    r"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
    r"C:\\Windows\\System32\\cmd.exe",
    r"C:\\Windows\\System32\\lsass.exe",
    r"C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
    r"C:\\Program Files\\Windows Defender\\MsMpEng.exe",
    r"C:\\Windows\\explorer.exe",
    r"C:\\Windows\\System32\\taskhostw.exe",
];

pub(crate) const COMPANIES: &[&str] = &[
    "Microsoft Corporation",
    "Microsoft Corporation",
    "Adobe Inc.",
    "-",
];

pub(crate) const KEYS: &[&str] = &[
    r"HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
    r"HKLM\\System\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces",
    r"HKU\\S-1-5-21-1939123204-1418869057\\SOFTWARE\\Microsoft\\Internet Settings\\ZoneMap",
    r"HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\ScriptBlockLogging",
];
