//! Nodes that are started, die, are frozen, and what their disks do meanwhile.

use std::format;
use std::vec::Vec;

use super::{World, own_name};
use crate::config::Config;
use crate::engine::Engine;
use crate::id::ConnId;
use crate::prng::Seed;
use crate::script::disk::Disk;

impl World {
    pub(crate) fn start(&mut self, name: &str) {
        let own = own_name(name);
        let mut config = Config::new(own).expect("a good name").listen(own, self.node(name).port);
        config.join = self.node(name).joins;
        for member in self.node(name).members.clone() {
            if member != own {
                config = config.peer(&member, &member, 1).expect("a good name");
            }
        }
        config.leader_priority = self.node(name).leader_priority;
        let mut compact_every = None;
        for (option, value) in &self.options {
            match option.as_str() {
                // As small as a script needs it.
                "compact_every" => compact_every = Some(*value as u64),
                "append_window" => config.limits.append_window = *value,
                "max_uncommitted" => config.limits.max_uncommitted = *value,
                "log_bytes" => config.limits.log_bytes = *value,
                "max_writes" => config.limits.max_writes = *value,
                "max_value" => config.limits.max_value = *value,
                "max_clock_drift" => config.max_clock_drift = Some(u32::try_from(*value).expect("small")),
                "max_key" => config.limits.max_key = *value,
                other => panic!("no such option: {other}"),
            }
        }
        self.starts += 1;
        if self.node(name).on_disk {
            config = config.persist("its disk");
        }
        let mut settings = config.validate().expect("a good configuration");
        settings.compact_every = compact_every.unwrap_or(settings.compact_every);
        let seed = Seed::from_u64(self.starts);
        let node = self.node(name);
        node.engine = Some(Engine::open(settings, seed));
        node.frozen = false;
        self.turn(name);
        // What its disk holds is read at once.
        while self.node(name).is_opening() && !self.node(name).inbox.is_empty() {
            self.turn(name);
        }
    }

    pub(crate) fn crash(&mut self, name: &str) {
        let node = self.node(name);
        let durable = node.engine.take().map_or(0, |engine| engine.journal_durable());
        node.inbox.clear();
        if let Some(lost) = node.disk.crash(durable) {
            self.say(format!("{name} loses {lost}"));
        }
        let node = self.node(name);
        let conns: Vec<ConnId> = node.conns.keys().copied().collect();
        for conn in conns {
            self.close(name, conn, "reset");
        }
    }

    // Disks.

    pub(crate) fn use_disk(&mut self, name: &str) {
        self.node(name).on_disk = true;
    }

    pub(crate) fn hold_disk(&mut self, name: &str) {
        self.node(name).disk.hold();
    }

    /// What was held is durable now, and the node is told in its next turn.
    pub(crate) fn release_disk(&mut self, name: &str) {
        let node = self.node(name);
        let durable = node.engine.as_ref().map_or(0, |engine| engine.journal_durable());
        let (stored, inputs) = node.disk.release(durable);
        node.inbox.extend(inputs);
        self.say(format!("{name} stores {stored}"));
    }

    pub(crate) fn fill_disk(&mut self, name: &str) {
        self.node(name).disk.set_full(true);
    }

    pub(crate) fn free_disk(&mut self, name: &str) {
        self.node(name).disk.set_full(false);
    }

    pub(crate) fn spoil(&mut self, name: &str, file: &str, at: usize) {
        let node = self.node(name);
        assert!(node.engine.is_none(), "only the disk of a dead node is spoilt");
        node.disk.spoil(file, at);
    }

    pub(crate) fn wipe(&mut self, name: &str) {
        let node = self.node(name);
        assert!(node.engine.is_none(), "only the disk of a dead node is wiped");
        node.disk = Disk::default();
    }

    pub(crate) fn freeze(&mut self, name: &str) {
        self.node(name).frozen = true;
    }

    pub(crate) fn thaw(&mut self, name: &str) {
        self.node(name).frozen = false;
        self.turn(name);
    }
}
