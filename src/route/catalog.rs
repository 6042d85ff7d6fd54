//! The catalog: which customers receive which events, in which form. It is the AsyncAPI document of the customers' topics.

pub mod asyncapi;
