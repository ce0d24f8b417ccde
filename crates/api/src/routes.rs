//! The endpoints. What is served is what is documented: both are made of this list.

use audittrail_auth::Scope;
use axum::Router;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::problem::Slug;
use crate::settings::ApiSettings;
use crate::{
    State, bundle, checkpoint, consistency, create, docs_page, export, get, health, list, openapi,
    proof, stats, stream, tile,
};

/// Whom an endpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anybody.
    Nothing,
    /// Who has a token with one of these scopes; the least first.
    Scopes(&'static [Scope]),
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// At the documented path, with and without its trailing slash.
    Documented,
    /// At this path alone, since the document cannot say it or it has no other form.
    Exactly(&'static str),
    /// Where another endpoint is, which the document shows in two forms.
    Elsewhere,
}

/// A path with its handler, and what the handler's annotation does not say.
pub(crate) struct Endpoint {
    pub(crate) handler: UtoipaMethodRouter<State>,
    pub(crate) at: At,
    /// Another path of the same.
    pub(crate) alias: Option<&'static str>,
    pub(crate) needs: Needs,
    /// What it is answered with beside what every request can be.
    pub(crate) problems: &'static [Slug],
}

const WRITE: Needs = Needs::Scopes(&[Scope::WriteOwn, Scope::Write]);
const READ: Needs = Needs::Scopes(&[Scope::ReadOwn, Scope::Read]);
const EXPORT: Needs = Needs::Scopes(&[Scope::Export]);
const PROVE: Needs = Needs::Scopes(&[Scope::Prove]);

pub(crate) fn endpoints(settings: &ApiSettings) -> Vec<Endpoint> {
    use Slug::*;
    let mut create = Endpoint::new(
        routes!(create::create),
        WRITE,
        &[
            InvalidEntry,
            InvalidParameter,
            InvalidHeader,
            IncompleteBody,
            InvalidEncoding,
            IdConflict,
            BodyTooLarge,
            UnsupportedMediaType,
            KeyReused,
            IntakeFull,
            Unavailable,
            OutcomeUnknown,
        ],
    );
    create.alias = Some("/logs/");
    let mut all = vec![
        create,
        Endpoint::new(
            routes!(list::list),
            READ,
            &[InvalidParameter, NotAcceptable, Unavailable],
        ),
        Endpoint::new(
            routes!(export::export),
            EXPORT,
            &[
                InvalidParameter,
                NotAcceptable,
                IntakeFull,
                Unavailable,
                OutcomeUnknown,
            ],
        ),
        Endpoint::new(
            routes!(stats::stats),
            READ,
            &[InvalidParameter, NotAcceptable, Unavailable],
        ),
        Endpoint::new(
            routes!(stream::stream),
            READ,
            &[
                InvalidHeader,
                InvalidParameter,
                NotAcceptable,
                StreamsFull,
                TooManyStreams,
                Unavailable,
            ],
        ),
        Endpoint::new(
            routes!(get::get),
            READ,
            &[InvalidParameter, NotFound, NotAcceptable, Unavailable],
        ),
        Endpoint::new(routes!(openapi::openapi), Needs::Nothing, &[]),
        Endpoint::new(routes!(docs_page::page), Needs::Nothing, &[]),
        Endpoint::new(routes!(docs_page::file), Needs::Nothing, &[NotFound]),
    ];
    all.push(Endpoint::new(
        routes!(proof::proof),
        PROVE,
        &[
            InvalidParameter,
            NotFound,
            NotAcceptable,
            Damaged,
            Unavailable,
        ],
    ));
    all.extend(tlog(settings));
    all.extend(health());
    all
}

/// C2SP tlog-tiles, whose paths have no other forms, and what goes with it.
fn tlog(settings: &ApiSettings) -> Vec<Endpoint> {
    use Slug::*;
    let needs = if settings.public_tiles {
        Needs::Nothing
    } else {
        PROVE
    };
    let tiles = |handler, at| Endpoint {
        at,
        ..Endpoint::new(
            handler,
            needs,
            &[
                InvalidParameter,
                NotFound,
                RateLimited,
                Damaged,
                Unavailable,
            ],
        )
    };
    vec![
        Endpoint {
            at: At::Exactly("/checkpoint"),
            ..Endpoint::new(
                routes!(checkpoint::checkpoint),
                needs,
                &[InvalidParameter, RateLimited],
            )
        },
        Endpoint::new(
            routes!(consistency::consistency),
            needs,
            &[
                InvalidParameter,
                NotFound,
                NotAcceptable,
                RateLimited,
                Damaged,
                Unavailable,
            ],
        ),
        tiles(routes!(tile::tile), At::Exactly("/tile/{level}/{*index}")),
        tiles(routes!(tile::part), At::Elsewhere),
        tiles(
            routes!(bundle::bundle),
            At::Exactly("/tile/entries/{*index}"),
        ),
        tiles(routes!(bundle::part), At::Elsewhere),
    ]
}

fn health() -> [Endpoint; 2] {
    [
        Endpoint::new(routes!(health::live), Needs::Nothing, &[]),
        Endpoint::new(routes!(health::ready), Needs::Nothing, &[Slug::NotReady]),
    ]
}

impl Endpoint {
    fn new(handler: UtoipaMethodRouter<State>, needs: Needs, problems: &'static [Slug]) -> Self {
        Self {
            handler,
            at: At::Documented,
            alias: None,
            needs,
            problems,
        }
    }

    fn add_to(self, mut router: Router<State>) -> Router<State> {
        let (_, paths, handler) = self.handler;
        match self.at {
            At::Documented => {}
            At::Exactly(path) => return router.route(path, handler),
            At::Elsewhere => return router,
        }
        let paths = paths.paths.keys().map(String::as_str).chain(self.alias);
        for path in paths {
            let bare = path.trim_end_matches('/');
            router = router
                .route(bare, handler.clone())
                .route(&format!("{bare}/"), handler.clone());
        }
        router
    }
}

/// All paths.
pub(crate) fn all(settings: &ApiSettings) -> Router<State> {
    let none = Router::new();
    endpoints(settings)
        .into_iter()
        .fold(none, |router, one| one.add_to(router))
}

/// Health checks of a container need not know how the world sees it.
pub(crate) fn at_root() -> Router<State> {
    health()
        .into_iter()
        .fold(Router::new(), |router, one| one.add_to(router))
}
