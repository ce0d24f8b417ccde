// Makes the replica set and the user of AuditTrail, where they are not there. Run by mongosh --nodb;
// may be run again. The members and the folder with the secrets can be named in the environment.
const fs = require("fs");

const members = (process.env.MONGO_MEMBERS || "mongo1:27017,mongo2:27017,mongo3:27017").split(",");
const folder = process.env.SECRETS || "/run/secrets";
const secret = (name) => fs.readFileSync(`${folder}/${name}`, "utf8").trim();
const deadline = Date.now() + 300 * 1000;

// Tries until it succeeds: members start when they do.
function eventually(what, action) {
  for (;;) {
    try {
      const done = action();
      if (done) return done;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      print(`${what}: ${error.codeName || error.message}`);
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within five minutes`);
    sleep(1000);
  }
}

const user = encodeURIComponent(secret("mongo_root_username"));
const password = encodeURIComponent(secret("mongo_root_password"));
const url = (hosts, options) => `mongodb://${user}:${password}@${hosts}/admin?${options}`;

const first = eventually("connecting", () => connect(url(members[0], "directConnection=true")));
if (!first.hello().setName) {
  eventually("making the replica set", () => {
    const config = { _id: "audittrail", members: members.map((host, _id) => ({ _id, host })) };
    return first.adminCommand({ replSetInitiate: config }).ok;
  });
  print("the replica set is made");
}
eventually("waiting for a primary", () => first.hello().primary);

const admin = eventually("connecting", () => connect(url(members.join(","), "replicaSet=audittrail")));
const name = secret("mongo_username");
const rights = { pwd: secret("mongo_password"), roles: [{ role: "readWrite", db: "audittrail" }] };
if (admin.getUser(name)) {
  admin.updateUser(name, rights);
} else {
  admin.createUser({ user: name, ...rights });
}
print("the user of AuditTrail is there");
