//! SNS: publishing events to topics, at the rate that SNS accepts.

pub mod publish;
pub mod rate;
