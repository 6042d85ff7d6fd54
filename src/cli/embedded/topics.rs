//! SNS with raw message delivery, in front of the SNS provider.
//!
//! The provider refuses to publish a message with attributes if a subscription is raw, and it drops the values of Binary
//! attributes. Therefore the provider sees notifications only. This module notes which subscriptions are raw, and the
//! [bridge](super::bridge) takes their notifications apart.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustack_sns_core::handler::RustackSnsHandler;
use rustack_sns_core::provider::RustackSns;
use rustack_sns_http::body::SnsResponseBody;
use rustack_sns_http::dispatch::SnsHandler;
use rustack_sns_http::request::{get_optional_param, get_required_param, parse_attributes_map, parse_form_params};
use rustack_sns_http::response::{XmlWriter, xml_response};
use rustack_sns_model::error::SnsError;
use rustack_sns_model::input::GetSubscriptionAttributesInput;
use rustack_sns_model::operations::SnsOperation;

use super::subscriptions::{Form, Subscriptions};

/// The handler of all SNS requests.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    provider: Arc<RustackSns>,
    subscriptions: Arc<Subscriptions>,
}

type Response = http::Response<SnsResponseBody>;
type Params = [(String, String)];

/// The attribute of a subscription that asks for raw delivery.
const RAW: &str = "RawMessageDelivery";

impl Topics {
    pub(super) fn new(provider: Arc<RustackSns>, subscriptions: Arc<Subscriptions>) -> Self {
        Self { provider, subscriptions }
    }

    async fn answer(self, operation: SnsOperation, body: Bytes) -> Result<Response, SnsError> {
        let params = parse_form_params(&body);
        match operation {
            SnsOperation::Subscribe => self.subscribe(&params).await,
            SnsOperation::SetSubscriptionAttributes => self.set_attribute(body, &params).await,
            SnsOperation::GetSubscriptionAttributes => self.attributes(&params),
            SnsOperation::Unsubscribe => {
                let subscription = self.subscription(get_required_param(&params, "SubscriptionArn")?).ok();
                let response = self.pass_on(operation, body).await?;
                if let Some(Subscription { topic_arn, queue_arn, .. }) = subscription {
                    self.subscriptions.remove(&topic_arn, &queue_arn);
                }
                Ok(response)
            }
            SnsOperation::DeleteTopic => {
                let response = self.pass_on(operation, body).await?;
                self.subscriptions.remove_topic(get_required_param(&params, "TopicArn")?);
                Ok(response)
            }
            SnsOperation::Publish | SnsOperation::PublishBatch => {
                self.pass_on(operation, with_binary_values_as_strings(body, params)).await
            }
            _ => self.pass_on(operation, body).await,
        }
    }

    /// Passes a request to the provider.
    async fn pass_on(&self, operation: SnsOperation, body: Bytes) -> Result<Response, SnsError> {
        RustackSnsHandler::new(Arc::clone(&self.provider)).handle_operation(operation, body).await
    }

    /// Subscribes a queue, and notes its form.
    ///
    /// # Errors
    /// Returns an error if the provider refuses the subscription, or if the queue is subscribed in another form.
    async fn subscribe(&self, params: &Params) -> Result<Response, SnsError> {
        let topic_arn = get_required_param(params, "TopicArn")?;
        let queue_arn = get_optional_param(params, "Endpoint").unwrap_or_default();
        let wanted = parse_attributes_map(params, "Attributes")?.get(RAW).map(|value| form(value)).transpose()?;
        let known = self.subscriptions.form(topic_arn, queue_arn);
        if known.is_some() && wanted.is_some() && known != wanted {
            return Err(SnsError::invalid_parameter(
                "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
            ));
        }
        let response = self.pass_on(SnsOperation::Subscribe, without_raw(params)).await?;
        self.subscriptions.set(topic_arn, queue_arn, wanted.or(known).unwrap_or(Form::Notification));
        Ok(response)
    }

    async fn set_attribute(&self, body: Bytes, params: &Params) -> Result<Response, SnsError> {
        let operation = SnsOperation::SetSubscriptionAttributes;
        if get_optional_param(params, "AttributeName") != Some(RAW) {
            return self.pass_on(operation, body).await;
        }
        let form = form(get_optional_param(params, "AttributeValue").unwrap_or_default())?;
        let Subscription { topic_arn, queue_arn, .. } =
            self.subscription(get_required_param(params, "SubscriptionArn")?)?;
        self.subscriptions.set(&topic_arn, &queue_arn, form);
        Ok(respond(operation, |_| {}))
    }

    fn attributes(&self, params: &Params) -> Result<Response, SnsError> {
        let subscription = self.subscription(get_required_param(params, "SubscriptionArn")?)?;
        let Subscription { topic_arn, queue_arn, mut attributes } = subscription;
        let is_raw = self.subscriptions.form(&topic_arn, &queue_arn) == Some(Form::Raw);
        attributes.insert(RAW.to_owned(), is_raw.to_string());
        Ok(respond(SnsOperation::GetSubscriptionAttributes, |xml| {
            xml.raw("<Attributes>");
            for (name, value) in &attributes {
                xml.raw("<entry>");
                xml.write_element("key", name);
                xml.write_element("value", value);
                xml.raw("</entry>");
            }
            xml.raw("</Attributes>");
        }))
    }

    /// Finds a subscription by its ARN.
    fn subscription(&self, arn: &str) -> Result<Subscription, SnsError> {
        let input = GetSubscriptionAttributesInput { subscription_arn: arn.to_owned() };
        let attributes = self.provider.get_subscription_attributes(&input)?.attributes;
        let value = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        Ok(Subscription { topic_arn: value("TopicArn"), queue_arn: value("Endpoint"), attributes })
    }
}

impl SnsHandler for Topics {
    fn handle_operation(
        &self,
        operation: SnsOperation,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<Response, SnsError>> + Send>> {
        Box::pin(self.clone().answer(operation, body))
    }
}

/// A subscription as the provider knows it.
#[derive(Debug)]
struct Subscription {
    topic_arn: String,
    queue_arn: String,
    attributes: HashMap<String, String>,
}

/// Parses the value of [`RAW`].
fn form(value: &str) -> Result<Form, SnsError> {
    match value {
        "true" => Ok(Form::Raw),
        "false" => Ok(Form::Notification),
        _ => Err(SnsError::invalid_parameter(format!(
            "Invalid parameter: Attributes Reason: {RAW}: Invalid value [{value}]. Must be true or false."
        ))),
    }
}

/// Returns the form of a request without a demand for raw delivery.
fn without_raw(params: &Params) -> Bytes {
    let is_raw = |name: &str| {
        let key = name.strip_suffix(".value").map(|entry| format!("{entry}.key"));
        key.is_some_and(|key| get_optional_param(params, &key) == Some(RAW))
    };
    encode(params.iter().map(|(name, value)| (&**name, if is_raw(name) { "false" } else { value })))
}

/// Returns the form of a request in which the values of Binary attributes, which are in base64, are string values. The
/// provider copies only string values into notifications.
fn with_binary_values_as_strings(body: Bytes, params: Vec<(String, String)>) -> Bytes {
    const BINARY: &str = ".Value.BinaryValue";
    if !params.iter().any(|(name, _)| name.ends_with(BINARY)) {
        return body;
    }
    let params = params.into_iter().map(|(name, value)| match name.strip_suffix(BINARY) {
        Some(entry) => (format!("{entry}.Value.StringValue"), value),
        None => (name, value),
    });
    let params: Vec<(String, String)> = params.collect();
    encode(params.iter().map(|(name, value)| (&**name, &**value)))
}

/// Encodes the form of a request.
fn encode<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Bytes {
    let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> = params.map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&").into()
}

/// Returns the response to an operation, with this result.
fn respond(operation: SnsOperation, write_result: impl FnOnce(&mut XmlWriter)) -> Response {
    let (name, request_id) = (operation.to_string(), uuid::Uuid::nil().to_string());
    let mut xml = XmlWriter::new();
    xml.start_response(&name);
    xml.start_result(&name);
    write_result(&mut xml);
    xml.end_element(&format!("{name}Result"));
    xml.write_response_metadata(&request_id);
    xml.end_element(&format!("{name}Response"));
    xml_response(xml.into_string(), &request_id)
}
