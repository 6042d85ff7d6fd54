use bytes::Bytes;

use super::*;
use crate::store::archive::Position;

/// Later than any update of these tests by more than the time after which a replay can be taken over.
fn later() -> i64 {
    now() + 2 * TAKEOVER_SECONDS * 1_000_000
}

fn at(sent_at: i64) -> Position {
    Position { sent_at, ..Position::default() }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn owner(id: &str) -> Owner {
    Owner { id: id.to_owned(), host: format!("host-{id}") }
}

fn request() -> Request {
    Request { from: 1, to: 2, types: vec!["shop.v1.*".into()], rate: 100.0, ..Request::default() }
}

fn one_message() -> Counts {
    Counts { rows: 2, messages: 1, published: 1, ..Counts::default() }
}

fn stores() -> (tempfile::TempDir, [Replays; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Store::folder(folder.path().into()).unwrap();
    (folder, [Replays::new(on_disk), Replays::new(Store::in_memory())])
}

#[tokio::test]
async fn a_replay_is_continued_where_its_last_step_ended() {
    let (_folder, stores) = stores();
    for replays in stores {
        let mut cursor = replays.begin(name("x"), request(), owner("a")).await.unwrap();
        assert_eq!((&cursor.state().request, &cursor.state().position), (&request(), &None));
        for step in 1..=10 {
            cursor.step(Some(at(step)), one_message()).await.unwrap();
        }
        // A step without a row.
        cursor.step(None, Counts::default()).await.unwrap();
        let kept = replays.numbers(&name("x")).await.unwrap();
        assert_eq!(kept, [11, 12], "the last two objects stay");
        drop(cursor);
        let resumed = replays.resume(name("x"), owner("b"), later()).await.unwrap();
        let State { position, counts, status, owner: found, .. } = resumed.state().clone();
        assert_eq!((position, counts.rows, counts.messages), (Some(at(10)), 20, 10));
        assert_eq!((status, found), (Status::Running, owner("b")));
    }
}

#[tokio::test]
async fn a_name_that_exists_is_refused_with_the_way_out() {
    let (_folder, [replays, _]) = stores();
    replays.begin(name("x"), request(), owner("a")).await.unwrap();
    let error = replays.begin(name("x"), request(), owner("b")).await.unwrap_err().to_string();
    assert!(error.contains("a replay x already (running") && error.contains("`--resume x`"), "{error}");
    replays.begin(name("x.2"), request(), owner("b")).await.unwrap();
    let error = replays.resume(name("y"), owner("b"), now()).await.unwrap_err().to_string();
    assert!(error.contains("no replay y in file:///") && error.contains("--list"), "{error}");
}

#[tokio::test]
async fn a_replay_that_runs_is_not_taken_over() {
    let (_folder, stores) = stores();
    for replays in stores {
        let mut cursor = replays.begin(name("x"), request(), owner("a")).await.unwrap();
        let refused = replays.resume(name("x"), owner("b"), now()).await.unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, Error::Running { .. }) && text.contains("host-a"), "{text}");
        assert!(text.contains("since 2") && text.contains("try again at 2") && text.contains("--cancel x"), "{text}");
        // It was not disturbed.
        cursor.step(Some(at(1)), one_message()).await.unwrap();
        // A process that stopped in order leaves the replay to others at once, as does one that failed.
        for status in [Status::Stopped, Status::Failed] {
            cursor.end(status).await.unwrap();
            cursor = replays.resume(name("x"), owner("b"), now()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn of_two_processes_the_second_to_write_a_step_stops() {
    let (_folder, stores) = stores();
    for replays in stores {
        let mut first = replays.begin(name("x"), request(), owner("a")).await.unwrap();
        first.step(Some(at(1)), one_message()).await.unwrap();
        let mut second = replays.resume(name("x"), owner("b"), later()).await.unwrap();
        let error = first.step(Some(at(2)), one_message()).await.unwrap_err();
        assert!(error.is_lost() && error.to_string().contains("taken over by a process on host-b"), "{error}");
        second.step(Some(at(2)), one_message()).await.unwrap();
        // The number that the first one wants was deleted meanwhile. It learns of the later ones.
        for step in 3..10 {
            second.step(Some(at(step)), one_message()).await.unwrap();
        }
        let error = first.touch().await.unwrap_err();
        assert!(matches!(error, Error::TakenOver { .. }), "{error}");
        second.step(Some(at(10)), one_message()).await.unwrap();
        let (_, state) = replays.existing(&name("x")).await.unwrap();
        assert_eq!((state.position, state.owner), (Some(at(10)), owner("b")));
    }
}

#[tokio::test]
async fn processes_that_race_never_write_one_step_twice() {
    let (_folder, stores) = stores();
    for replays in stores {
        replays.begin(name("x"), request(), owner("0")).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|id| {
                let replays = replays.clone();
                tokio::spawn(async move {
                    let mut written = 0;
                    for _ in 0..10 {
                        let taken = replays.resume(name("x"), owner(&id.to_string()), later()).await;
                        let Ok(mut cursor) = taken else { continue };
                        while cursor.step(None, one_message()).await.is_ok() && written < 20 {
                            written += 1;
                        }
                    }
                    written
                })
            })
            .collect();
        let mut confirmed = 0;
        for task in tasks {
            confirmed += task.await.unwrap();
        }
        // Each step that its writer knows of builds on the one before it, so none replaced another.
        let (_, state) = replays.existing(&name("x")).await.unwrap();
        assert!(state.counts.messages >= confirmed, "{} of {confirmed} steps are there", state.counts.messages);
        assert!(confirmed > 0);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_no_other_process() {
    let (_folder, stores) = stores();
    for replays in stores {
        let mut cursor = replays.begin(name("x"), request(), owner("a")).await.unwrap();
        // The object was created, and this process gave up waiting for the answer.
        let unknown = State { updated_at: 7, ..cursor.state().clone() };
        let bytes = Bytes::from(serde_json::to_vec(&unknown).unwrap());
        assert_eq!(replays.store.create(&key("x", 2), bytes).await.unwrap(), Created::New);
        cursor.step(Some(at(1)), one_message()).await.unwrap();
        let (number, state) = replays.existing(&name("x")).await.unwrap();
        assert_eq!((number, state.position), (3, Some(at(1))));
    }
}

#[tokio::test]
async fn a_canceled_replay_stops_at_its_next_step_and_for_good() {
    let (_folder, stores) = stores();
    for replays in stores {
        let mut cursor = replays.begin(name("x"), request(), owner("a")).await.unwrap();
        cursor.step(Some(at(1)), one_message()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(replays.cancel(&name("x"), &owner("b")).await.unwrap().status, Status::Canceled);
        }
        let error = cursor.step(Some(at(2)), one_message()).await.unwrap_err();
        assert!(error.is_lost() && error.to_string().contains("the replay x was canceled 2"), "{error}");
        let error = replays.resume(name("x"), owner("a"), later()).await.unwrap_err().to_string();
        assert!(error.contains("another --name"), "{error}");
    }
}

#[tokio::test]
async fn a_replay_that_is_done_stays_done() {
    let (_folder, [replays, _]) = stores();
    let mut cursor = replays.begin(name("x"), request(), owner("a")).await.unwrap();
    cursor.end(Status::Done).await.unwrap();
    let resumed = replays.resume(name("x"), owner("b"), now()).await.unwrap();
    assert_eq!((resumed.state().status, &resumed.state().owner), (Status::Done, &owner("a")));
    let error = replays.cancel(&name("x"), &owner("b")).await.unwrap_err().to_string();
    assert!(error.contains("nothing to cancel"), "{error}");
}

#[tokio::test]
async fn all_replays_are_listed_the_latest_first() {
    let (_folder, stores) = stores();
    for replays in stores {
        assert_eq!(replays.list().await.unwrap(), []);
        for text in ["a", "a.b", "c"] {
            let mut cursor = replays.begin(name(text), request(), owner("a")).await.unwrap();
            cursor.step(Some(at(1)), one_message()).await.unwrap();
        }
        replays.cancel(&name("a"), &owner("b")).await.unwrap();
        let listed = replays.list().await.unwrap();
        let found: Vec<_> = listed.iter().map(|state| (state.name.as_str(), state.counts.messages)).collect();
        assert_eq!(found, [("a", 1), ("c", 1), ("a.b", 1)]);
    }
}

#[tokio::test]
async fn a_cursor_of_another_version_is_named() {
    let (_folder, [replays, _]) = stores();
    replays.store.put(&key("x", 1), Bytes::from_static(br#"{"version": 2}"#)).await.unwrap();
    let error = replays.resume(name("x"), owner("a"), now()).await.unwrap_err().to_string();
    assert!(error.contains("replays/v1/x/000001.json cannot be read") && error.contains("the format 2"), "{error}");
}
