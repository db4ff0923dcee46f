//! The catalogue: drafted and published by operators, read by partners.

mod importing;
mod keeping;
mod reading;
mod tags;

use reqwest::Method;
use serde_json::Value;

use crate::support::world::{Answer, Operator};

const NOBODY: &str = "pkg_01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn import(operator: &Operator<'_>, query: &str, media_type: &str, body: &str) -> Answer {
    let path = format!("/admin/v1/packages/import{query}");
    let request = operator.world.request(Method::POST, &path);
    let request = request
        .bearer_auth(&operator.token)
        .header("content-type", media_type)
        .body(body.to_owned());
    Answer::of(request.send().await.unwrap()).await
}

async fn edit(operator: &Operator<'_>, id: &str, tag: &str, body: Value) -> Answer {
    let path = format!("/admin/v1/packages/{id}");
    let request = operator.world.request(Method::PATCH, &path);
    let request = request.bearer_auth(&operator.token).header("if-match", tag);
    Answer::of(request.json(&body).send().await.unwrap()).await
}
