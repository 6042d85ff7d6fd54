//! The catalog: who receives which events, and in which form. Today it is the AsyncAPI document of the customers' topics.

pub mod asyncapi;
