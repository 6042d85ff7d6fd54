//! Integration tests, one binary.

#[path = "../support/descriptors.rs"]
mod descriptor_sets;
mod descriptors;
