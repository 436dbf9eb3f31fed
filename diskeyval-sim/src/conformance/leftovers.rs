//! What a process has that may have been left by a node.

use std::fs;

/// How many threads and descriptors this process has that may be a node's, where the operating system tells.
pub(super) fn left(is_of_the_process: &dyn Fn(&str) -> bool) -> (usize, usize) {
    let entries = |path| fs::read_dir(path).into_iter().flatten().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let threads = entries("/proc/self/task").filter_map(name);
    (threads.filter(|name| !is_of_the_process(name.trim_end())).count(), entries("/proc/self/fd").count())
}
