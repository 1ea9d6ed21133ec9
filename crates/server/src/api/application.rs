//! `/api/v1/app`: applications.

mod body;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::id::{AppId, OrgId};
use hookseal_store::config::Created;
use hookseal_store::error::ChangeError;
use hookseal_store::page::PageRequest;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::AppRef;

use crate::api::Api;
use crate::api::access::{AppPath, Authorized, ManagedApplication, Organisation, OwnApplication};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{ApplicationPath, IdempotencyHeader};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::{json, ok, upserted};

pub(crate) use crate::api::application::body::{ApplicationIn, ApplicationOut, ApplicationPatch};

/// What the errors call it.
const WHAT: &str = "the application";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch, delete))
}

/// Whether an application that exists is an answer.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateParams {
    /// Answer 200 with the application that has this uid already, instead of 409.
    #[param(value_type = Option<bool>, default = false)]
    get_if_exists: bool,
}

impl FromQuery for CreateParams {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self {
            get_if_exists: query.flag("get_if_exists").unwrap_or(false),
        }
    }
}

impl FromQuery for PageRequest<AppId> {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        query.ordered_page()
    }
}

/// Lists the applications.
#[utoipa::path(get, path = "/api/v1/app", operation_id = "v1.application.list", tag = "Application",
    params(OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<ApplicationOut>), ErrorResponses))]
async fn list(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<AppId>>,
) -> Result<Response, ApiError> {
    let page = api.engine.store().applications(org, page).await?;
    let list = ListResponse::of(page, |app| app.id, |app| Some(ApplicationOut::of(app)));
    Ok(ok(&list))
}

/// Makes an application.
#[utoipa::path(post, path = "/api/v1/app", operation_id = "v1.application.create", tag = "Application",
    params(CreateParams, IdempotencyHeader), request_body = ApplicationIn,
    responses((status = 201, description = "Made", body = ApplicationOut),
        (status = 200, description = "It existed already", body = ApplicationOut), ErrorResponses))]
async fn create(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(params): Query<CreateParams>,
    input: Input,
) -> Result<Response, ApiError> {
    let spec = input.read::<ApplicationIn>()?.spec()?;
    let idempotency = input.idempotency(
        Principal::Organisation(org),
        api.engine.now(),
        format_args!("app"),
    );
    let uid = spec.uid.clone();
    let made = api.create_application(org, spec, idempotency).await;
    match (made, uid) {
        (Err(ChangeError::NameTaken), Some(uid)) if params.get_if_exists => {
            let named = AppRef::Uid(uid.as_str().to_owned());
            let found = api.engine.store().application(org, &named).await?;
            let found = found.ok_or_else(|| ApiError::not_found(WHAT))?;
            Ok(ok(&ApplicationOut::of(found)))
        }
        (Err(error), _) => Err(ApiError::change(WHAT, error)),
        (Ok(made), _) => Ok(json(
            StatusCode::CREATED,
            &ApplicationOut::of(made.into_inner()),
        )),
    }
}

/// Shows an application.
#[utoipa::path(get, path = "/api/v1/app/{app_id}", operation_id = "v1.application.get", tag = "Application",
    params(ApplicationPath),
    responses((status = 200, description = "The application", body = ApplicationOut), ErrorResponses))]
async fn get(Authorized(own): Authorized<OwnApplication>) -> Result<Response, ApiError> {
    Ok(ok(&ApplicationOut::of(own.routing.application.clone())))
}

/// Replaces an application, or makes it.
///
/// Where the body has no `uid`, the uid in the path stays.
#[utoipa::path(put, path = "/api/v1/app/{app_id}", operation_id = "v1.application.update", tag = "Application",
    params(ApplicationPath), request_body = ApplicationIn,
    responses((status = 200, description = "Replaced", body = ApplicationOut),
        (status = 201, description = "Made", body = ApplicationOut), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    AppPath(named): AppPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let body: ApplicationIn = input.read()?;
    let found = api.engine.store().application(org, &named).await?;
    let put = match (found, &named) {
        (None, AppRef::Id(_)) => return Err(ApiError::not_found(WHAT)),
        (None, AppRef::Uid(uid)) => {
            let spec = body.named(uid).spec()?;
            let made = api.create_application(org, spec, None).await;
            Created::New(made.map_err(|e| ApiError::change(WHAT, e))?.into_inner())
        }
        (Some(app), AppRef::Id(_)) => Created::Existing(api.replace(app.id, body.spec()?).await?),
        (Some(app), AppRef::Uid(uid)) => {
            let spec = body.named(uid).spec()?;
            Created::Existing(api.replace(app.id, spec).await?)
        }
    };
    Ok(upserted(put, ApplicationOut::of))
}

/// Changes parts of an application.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}", operation_id = "patch_application", tag = "Application",
    params(ApplicationPath), request_body = ApplicationPatch,
    responses((status = 200, description = "Changed", body = ApplicationOut), ErrorResponses))]
async fn patch(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let patch: ApplicationPatch = input.read()?;
    let (org, id) = (own.principal.org(), own.id());
    let _turn = api.turns.of(id).await;
    let before = api.engine.store().application(org, &AppRef::Id(id)).await?;
    let before = before.ok_or_else(|| ApiError::not_found(WHAT))?;
    let app = api.replace(id, patch.apply(before.spec)?).await?;
    Ok(ok(&ApplicationOut::of(app)))
}

/// Deletes an application with its endpoints and messages.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}", operation_id = "v1.application.delete", tag = "Application",
    params(ApplicationPath), responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let (app, now) = (own.id(), api.engine.now());
    api.change(WHAT, app, move |store| async move {
        store.delete_application(app, now).await
    })
    .await?;
    let endpoints = own.routing.destinations.iter().map(|to| to.id);
    api.forget_private(own.principal.org(), endpoints).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl crate::api::ApiContext {
    /// Makes an application.
    pub(crate) async fn create_application(
        &self,
        org: OrgId,
        spec: ApplicationSpec,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Application>, ChangeError> {
        let new = Application {
            id: self.engine.next_id(),
            org,
            spec,
            updated_at: self.engine.now(),
        };
        let store = self.engine.store();
        store.create_application(new, idempotency).await
    }

    async fn replace(&self, app: AppId, spec: ApplicationSpec) -> Result<Application, ApiError> {
        let now = self.engine.now();
        self.change(WHAT, app, move |store| async move {
            store.update_application(app, spec, now).await
        })
        .await
    }
}
