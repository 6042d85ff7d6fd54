use super::*;

mod replicas;
mod simulation;

fn arn(name: &str) -> TopicArn {
    format!("arn:aws:sns:eu-west-1:123456789012:{name}").as_str().into()
}

fn throttled(topic: &TopicArn, is_of_key: bool, called: Instant) -> Throttled<'_> {
    Throttled { topic, customer: None, is_of_key, called }
}

/// A history of calls, and the limits that it led to.
struct History {
    limits: Limits,
    now: Instant,
}

impl History {
    fn new() -> Self {
        Self { limits: Limits::default(), now: Instant::now() }
    }

    /// Plays a history: `a+` is an accepted call of topic a, `a-` a throttled one, `a!` one that KMS throttled, and `~6`
    /// a pause of 6 seconds. `a+*20` repeats a call. Each call takes 10 ms.
    fn play(&mut self, history: &str) {
        for step in history.split_whitespace() {
            if let Some(seconds) = step.strip_prefix('~') {
                self.now += Duration::from_secs(seconds.parse().unwrap());
                continue;
            }
            let (call, times) = step.split_once('*').unwrap_or((step, "1"));
            for _ in 0..times.parse().unwrap() {
                self.call(call);
            }
        }
    }

    fn call(&mut self, call: &str) {
        let (name, result) = call.split_at(call.len() - 1);
        let (topic, called) = (arn(name), self.now);
        // The history decides which calls are made. A shortage is recorded all the same.
        let _shortage = self.limits.take(&topic, 10, called);
        self.now += Duration::from_millis(10);
        match result {
            "+" => self.limits.accepted(&topic, 10, called, self.now),
            "-" => self.limits.throttled(&throttled(&topic, false, called), self.now),
            "!" => self.limits.throttled(&throttled(&topic, true, called), self.now),
            _ => panic!("{call}"),
        }
    }

    /// Returns the names of the limits in force.
    fn names(&mut self) -> String {
        let account = self.limits.account_limit(self.now).map(|_| "account".to_owned());
        let topics = self.limits.topic_limits(self.now).into_iter();
        let names = topics.map(|own| own.topic.as_str().rsplit(':').next().unwrap().to_owned());
        account.into_iter().chain(names).collect::<Vec<_>>().join(" ")
    }

    fn limit(&mut self, name: &str) -> f64 {
        let topic = arn(name);
        self.limits.topic_limits(self.now).into_iter().find(|own| own.topic == topic).unwrap().limit
    }
}

#[test]
fn a_throttle_lowers_the_limit_of_the_quota_that_caused_it() {
    let small: String = (0..150).map(|number| format!("s{number}+ ")).collect();
    let many = format!("{small} s3- {small} s7-");
    for (history, limits, why) in [
        ("a+ b+", "", "nothing was throttled"),
        ("a+ b+ a-", "a", "the other topic got through"),
        ("a+ b+ a- a- b+ a-", "a", "the other topic got through"),
        ("a+ a-", "account", "the topic was active alone"),
        ("b+ ~6 a+ a-", "account", "the other topic is not active any more"),
        ("a+ a- ~6 a+ a-", "account", "the topic was active alone all the time"),
        ("a+ b+ a- b-", "account", "both were throttled, so the decrease of a was a mistake"),
        ("a+ b+ a- a- a- b-", "account", "both were throttled at once"),
        ("a+ b+ a- ~6 b+ a+ b-", "a b", "the throttles are too far apart to have one cause"),
        ("a+ b+ a!", "a", "the key of a"),
        ("a+ a!", "a", "the key of a, although a was active alone"),
        ("a+ b+ a! b! a! b!", "a b", "a key says nothing about the account"),
        ("a+ b+ c+ a! b-", "a b", "a key says nothing about the account"),
        ("a+ b+ c+ a! b- c-", "account a", "two topics were throttled by SNS"),
        ("a+ a- b+", "a", "the limit of the topic that was alone does not hold back the other"),
        ("a+ a- b+ a- b-", "account", "both were throttled"),
        ("a+ b+ a-*4 c+*40 b-", "a b", "c got through, so a and b have quotas of their own"),
        ("a+ b+ a-*4 b-*4 c+*40 a-", "a", "later calls of c prove it, so the account's decrease was a mistake"),
        ("a+ b+ a-*4 b-*4 c+*2 a-", "account", "that c got through twice can be chance"),
        ("a+ b+ a-*4 b- c+*40 a- c-*2", "account", "now c is throttled too"),
        (&many, "account", "with many small topics, most get through"),
        ("a+ b+ a- b- ~6 a+ b+*9 a-", "account", "the account's limit holds calls back, so it is the first suspect"),
        ("a+ b+ a- b- ~6 a+ b+*9 a- ~6 a+ b+*9 a-", "account", "still, although the throttles are far apart"),
        ("a+ b+ a- b- ~70 a+ b+*60 a- ~6 a- b+*60 a-", "account a", "in a minute, only a was throttled"),
        ("a+ b+ a-*9 ~6 b+ a+*9 a- b-", "b a", "a is at its own limit, so one other topic was throttled"),
        ("a+ b+ c+ a-*9 ~6 b+ a+*9 a- b- c-", "account a", "two topics without a limit were throttled"),
    ] {
        let mut played = History::new();
        played.play(history);
        let mut expected: Vec<&str> = limits.split_whitespace().collect();
        expected.sort_by_key(|name| (*name != "account", *name));
        assert_eq!(played.names(), expected.join(" "), "{history:.200}: {why}");
    }
}

#[test]
fn a_decrease_that_was_a_mistake_is_undone() {
    let mut history = History::new();
    history.play("b+ a+*50 a! ~6");
    let before = history.limit("a");
    history.play("b+ a- a-");
    assert!(history.limit("a") < before * 0.8, "{} of {before}", history.limit("a"));
    history.play("b-");
    assert_eq!(history.names(), "account a");
    let after = history.limit("a");
    assert!((after / before - 1.0).abs() < 0.05, "{after} after the account was blamed, {before} before");
}

#[test]
fn a_call_that_was_under_way_at_the_first_throttle_proves_nothing() {
    let mut history = History::new();
    history.play("a+ b+ c+");
    let called = history.now;
    history.play("a-*5");
    for _ in 0..40 {
        history.limits.accepted(&arn("c"), 10, called - Duration::from_millis(1), history.now);
    }
    history.play("b-");
    assert_eq!(history.names(), "account");
}

#[test]
fn the_limit_of_an_only_topic_is_taken_from_the_account_once_another_topic_has_a_call() {
    let mut history = History::new();
    history.play("a+*20 a-*8");
    let limit = history.limits.account_limit(history.now).unwrap();
    assert!(matches!(history.limits.take(&arn("a"), 10, history.now), Err(Shortage::Account(_))));
    for _ in 0..100 {
        assert_eq!(history.limits.take(&arn("b"), 10, history.now), Ok(()));
    }
    assert_eq!((history.names(), history.limit("a")), ("a".to_owned(), limit));
    assert!(matches!(history.limits.take(&arn("a"), 10, history.now), Err(Shortage::Topic(_))));
}

#[test]
fn a_topics_limit_is_removed_when_it_neither_throttled_nor_held_back_for_a_minute() {
    let mut history = History::new();
    history.play("b+ a+*50 a- b+");
    for _ in 0..9 {
        history.play("~10 a+*80");
        assert_eq!(history.names(), "a", "the limit holds calls back");
    }
    history.play("~59 a+");
    assert_eq!(history.names(), "a");
    history.play("~60 a+");
    assert_eq!(history.names(), "");
    assert!(history.limits.topics.is_empty(), "the memory is free again");
}
