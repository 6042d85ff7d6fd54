use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::watch;
use tracing::subscriber::DefaultGuard;

use super::*;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A running configuration in a folder of its own, and what its follower does.
struct Setup {
    folder: TempDir,
    configuration: Configuration,
    metrics: Arc<Metrics>,
    /// The levels that the log was set to.
    levels: Arc<Mutex<Vec<String>>>,
    log: Written,
    _log: DefaultGuard,
}

/// The bytes that the log wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Setup {
    /// Creates a configuration of the file with the further keys `yaml`. `variables` can name files in its folder.
    fn new(yaml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let origin = Origin::new(&folder.path().join("protobridge.yaml"), variables);
        write(&folder, yaml);
        std::fs::write(folder.path().join("redis"), "redis://:first@localhost\n").unwrap();
        let config = origin.load().unwrap();
        let (level, levels) = LogLevel::noted();
        let pace = Pace::new(&config.descriptors, watch::channel(()).1);
        let (clients, _calls) = crate::aws::scripted::clients(|_, _| panic!("no place is in a bucket"));
        let followed = Followed { origin, config, region: Some("eu-west-1".into()), level, clients };
        let (metrics, log) = (Arc::new(Metrics::new(false)), Written::default());
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let guard = tracing::subscriber::set_default(lines);
        let configuration = Configuration::new(followed, pace, Arc::default(), Arc::clone(&metrics));
        Self { folder, configuration, metrics, levels, log, _log: guard }
    }

    /// Writes the file with the further keys `yaml`, and looks at it.
    async fn change(&mut self, yaml: &str) {
        write(&self.folder, yaml);
        self.look().await;
    }

    async fn look(&mut self) {
        self.configuration.look(Reason::Change).await;
    }

    fn pending(&self) -> Vec<String> {
        let report = self.configuration.standing.report().unwrap();
        assert_eq!(self.metrics.restart_pending.get(), report.restart_pending.len() as u64);
        report.restart_pending
    }

    /// Returns the error of the present file.
    fn error(&self) -> Option<String> {
        let error = self.configuration.standing.report().unwrap().error;
        let in_force = LastReloadLabels { what: ReloadSubject::Configuration };
        assert_eq!(self.metrics.last_reload.with(&in_force).get(), u64::from(error.is_none()));
        error
    }

    fn counted(&self, result: ReloadResult) -> u64 {
        self.metrics.reloads.with(&ReloadLabels { what: ReloadSubject::Configuration, result }).get()
    }

    fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().clone()).unwrap()
    }
}

fn write(folder: &TempDir, yaml: &str) {
    let text = format!(
        "queues: [{{url: http://localhost:4566/000000000000/events}}]
route:
  customers_file: {ROOT}/config/customers.yaml
  topic_template: arn:aws:sns:eu-west-1:123456789012:json-{{customer}}
profiles: {{web: {{}}}}
{yaml}\n"
    );
    let text =
        if yaml.contains("descriptors:") { text } else { format!("{text}descriptors: {{path: {ROOT}/descriptors}}\n") };
    std::fs::write(folder.path().join("protobridge.yaml"), text).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_key_takes_effect_or_is_reported_as_waiting_for_a_restart() {
    let mut setup = Setup::new("publish: {linger_ms: 5}", &[]);
    setup
        .change("publish: {linger_ms: 7}\nlog: {level: debug}\ndedupe: {redis_url: 'redis://:hunter2@localhost'}")
        .await;
    assert_eq!(setup.pending(), ["dedupe.redis_url", "publish.linger_ms"]);
    let levels = setup.levels.lock().clone();
    assert!(levels.len() == 1 && levels[0].contains("protobridge=debug"), "{levels:?}");
    let log = setup.log();
    for line in [
        r#"configuration changed: applied key="log.level" old="\"info\"" new="\"debug\"""#,
        r#"configuration changed: needs a restart key="publish.linger_ms" old="5" new="7""#,
        r#"configuration changed: needs a restart key="dedupe.redis_url" old="unset" new="(secret)""#,
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
    setup.look().await;
    assert_eq!(setup.log(), log, "a change is reported once");

    setup.change("publish: {linger_ms: 5}\nlog: {level: debug}").await;
    assert_eq!(setup.pending(), [""; 0]);
    assert_eq!(setup.log().matches("so it needs no restart").count(), 2, "{}", setup.log());
    assert_eq!(setup.counted(ReloadResult::Admitted), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_file_is_refused_with_the_text_of_check_and_changes_nothing() {
    let mut setup = Setup::new("", &[]);
    setup.change("log: {level: debug}\npublish: {lingr_ms: 5}").await;
    let text = setup.configuration.followed.origin.load().unwrap_err().to_string();
    assert!(text.contains("publish.lingr_ms: unknown key; did you mean `linger_ms`?"), "{text}");
    assert_eq!(setup.error().as_deref(), Some(&*text));
    assert!(setup.log().contains("configuration refused; the running configuration stays"), "{}", setup.log());
    assert!(setup.log().contains("did you mean `linger_ms`?"), "{}", setup.log());
    assert_eq!((setup.levels.lock().len(), setup.pending().len()), (0, 0));
    setup.look().await;
    assert_eq!(setup.counted(ReloadResult::Refused), 1, "the same file is refused once");
    setup.configuration.look(Reason::Request).await;
    assert_eq!(setup.counted(ReloadResult::Refused), 2, "the operator asked");

    setup.change("log: {level: 'info,protobridge=loud'}").await;
    assert!(setup.error().is_some_and(|error| error.contains("log.level: ")));
    setup.change("").await;
    assert_eq!((setup.error(), setup.counted(ReloadResult::Admitted)), (None, 1));
    assert!(setup.log().contains("configuration is valid again"), "{}", setup.log());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_service_could_not_start_with_is_refused_until_it_could() {
    let mut setup = Setup::new("", &[]);
    let sets: PathBuf = setup.folder.path().join("sets");
    setup.change("descriptors: {path: sets}").await;
    let error = setup.error().unwrap();
    assert!(error.starts_with("descriptors.path: "), "{error}");
    setup.look().await;
    assert_eq!(setup.counted(ReloadResult::Refused), 1, "{}", setup.log());
    std::fs::create_dir(&sets).unwrap();
    std::fs::copy(format!("{ROOT}/descriptors/shop.binpb"), sets.join("shop.binpb")).unwrap();
    setup.look().await;
    assert_eq!((setup.error(), setup.pending()), (None, vec!["descriptors.path".to_owned()]));
    // The region that AWS is called in applies to a changed file, too.
    setup.change("aws: {}\nqueues: [{url: https://sqs.us-east-1.amazonaws.com/123456789012/events}]").await;
    assert!(setup.error().is_some(), "{}", setup.log());
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_counts_as_unreadable() {
    let mut setup = Setup::new("", &[]);
    std::fs::remove_file(setup.folder.path().join("protobridge.yaml")).unwrap();
    setup.look().await;
    assert_eq!(setup.counted(ReloadResult::Unreadable), 1);
    assert!(setup.error().is_some_and(|error| error.contains("no such file")));
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_waits_for_a_restart_and_a_missing_one_is_refused() {
    let mut setup = Setup::new("", &[("PROTOBRIDGE_DEDUPE_REDIS_URL_FILE", "redis")]);
    let secret = setup.folder.path().join("redis");
    assert_eq!(setup.configuration.followed.origin.files()[1], secret);
    std::fs::write(&secret, "redis://:second@localhost\n").unwrap();
    setup.look().await;
    assert_eq!(setup.pending(), ["dedupe.redis_url"]);
    std::fs::remove_file(&secret).unwrap();
    setup.look().await;
    let error = setup.error().unwrap();
    assert!(error.starts_with("PROTOBRIDGE_DEDUPE_REDIS_URL_FILE: dedupe.redis_url: cannot read "), "{error}");
    assert!(!setup.log().contains("second"), "{}", setup.log());
}

#[tokio::test]
async fn a_file_without_buckets_turns_no_polls_off_while_the_running_places_are_in_one() {
    let mut setup = Setup::new("descriptors: {path: 's3://acme/sets', poll_seconds: 30}", &[]);
    setup.change(&format!("descriptors: {{path: {ROOT}/descriptors, poll_seconds: 0}}")).await;
    assert_eq!(setup.error(), None);
    assert_eq!(setup.pending(), ["descriptors.path", "descriptors.poll_seconds"]);
    assert_eq!(setup.configuration.pace.poll_seconds(), 30, "the bucket is polled until the restart");
    setup.change(&format!("descriptors: {{path: {ROOT}/descriptors, poll_seconds: 7}}")).await;
    assert_eq!(setup.pending(), ["descriptors.path"]);
    assert_eq!(setup.configuration.pace.poll_seconds(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_refused_configuration_whose_sets_are_in_a_bucket_is_judged_again_after_a_while_or_on_request() {
    let bucket = crate::aws::s3::double::Double::default();
    let mut setup = Setup::new("", &[]);
    setup.configuration.followed.clients = bucket.clients();
    setup.change("descriptors: {path: 's3://acme/sets'}").await;
    assert!(setup.error().is_some_and(|error| error.contains("no descriptor set in s3://acme/sets")));
    assert!(!bucket.calls().is_empty());
    setup.look().await;
    assert!(bucket.calls().is_empty(), "all sets of a bucket are not read at each look");
    setup.configuration.look(Reason::Request).await;
    assert!(!bucket.calls().is_empty(), "the operator asked");
    tokio::time::sleep(Duration::from_secs(600)).await;
    setup.look().await;
    assert!(!bucket.calls().is_empty());
}
