//! A slice of all images, and what the recorded run has to bring about.

use super::*;

#[test]
fn the_recorded_run_brings_everything_about() {
    let recording = record().expect("a run that ends");
    let came: Vec<&str> = recording.came_about.iter().map(|(what, _)| *what).collect();
    for what in [
        "an entry",
        "a term entered",
        "a vote for itself",
        "a vote for another",
        "the end of the log given up",
        "a snapshot of the leader's taken",
        "a rotten file set aside",
    ] {
        assert!(came.contains(&what), "{what}: {came:?}");
    }
}

#[test]
fn a_slice_comes_to_the_same_in_one_part_and_in_two() {
    let recording = record().expect("a run that ends");
    let part = |part| enumerate(&recording, Wanted { every: 997, part, only: None, enough: 1 });
    let whole = part((0, 1));
    let mut halves = part((0, 2));
    halves.add(part((1, 2)));
    assert_eq!(whole.failed, []);
    assert!(whole.images >= 50_000, "{}", whole.images);
    assert_eq!((whole.images, whole.judged, whole.digest), (halves.images, halves.judged, halves.digest));
}
