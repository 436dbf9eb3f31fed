//! Words of the protocol, written by hand as `docs/src/wire.md` says it and not by the code that is tested: of every kind,
//! with whatever in their fields.

use arbitrary::{Result, Unstructured};

/// What numbers are near to that matter, so that a word is not wrong at the first glance.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The term of whoever listens.
    pub term: u64,
    /// The last entry of its log.
    pub last: (u64, u64),
    /// Up to where its log is committed.
    pub commit: u64,
    /// Its cluster.
    pub cluster: u128,
    /// Names that it knows.
    pub names: Vec<String>,
}

/// The bytes of a word, and of what is in it.
pub struct Writer<'s, 'u, 'b> {
    scene: &'s Scene,
    chance: &'u mut Unstructured<'b>,
    out: Vec<u8>,
}

/// The body of a frame of any kind.
pub fn frame(scene: &Scene, chance: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut writer = Writer { scene, chance, out: Vec::new() };
    match writer.chance.int_in_range(0..=11)? {
        0 => {
            writer.kind(0);
            writer.hello()?;
        }
        1 => {
            writer.kind(1);
            writer.number()?;
            writer.hello()?;
        }
        2 => writer.kind(2),
        3 => {
            writer.kind(3);
            writer.text()?;
        }
        4 => writer.kind(4),
        5..=7 => writer.directive()?,
        8 | 9 => writer.pledge()?,
        10 => writer.service()?,
        _ => {
            writer.kind(8);
            writer.index()?;
        }
    }
    writer.spoil()
}

/// An entry of any kind.
pub fn entry(scene: &Scene, chance: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut writer = Writer { scene, chance, out: Vec::new() };
    writer.entry()?;
    writer.spoil()
}

/// A frame with its length in front.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A number as postcard writes it: seven bits a byte, the lowest first.
pub fn varint(out: &mut Vec<u8>, mut number: u128) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

impl Writer<'_, '_, '_> {
    /// Most words are left as they are, some are cut short, longer, or have another byte.
    fn spoil(self) -> Result<Vec<u8>> {
        let Writer { chance, mut out, .. } = self;
        match chance.int_in_range(0..=15u8)? {
            1 if !out.is_empty() => out.truncate(chance.choose_index(out.len())?),
            2 => out.push(chance.arbitrary()?),
            3 if !out.is_empty() => {
                let at = chance.choose_index(out.len())?;
                out[at] = chance.arbitrary()?;
            }
            _ => {}
        }
        Ok(out)
    }

    fn put(&mut self, number: u128) {
        varint(&mut self.out, number);
    }

    fn kind(&mut self, kind: u8) {
        self.put(kind.into());
    }

    fn number(&mut self) -> Result<()> {
        let number = match self.chance.int_in_range(0..=7u8)? {
            0 => u64::MAX,
            1 => self.chance.arbitrary()?,
            2 => 1 << 62,
            small => u64::from(small) - 3,
        };
        self.put(number.into());
        Ok(())
    }

    /// One of a few that are near, or any.
    fn near(&mut self, middle: u64) -> Result<()> {
        let number = match self.chance.int_in_range(0..=9u8)? {
            0..=3 => middle,
            4 | 5 => middle.saturating_add(1),
            6 => middle.saturating_sub(1),
            7 => middle.saturating_add(1000),
            8 => u64::MAX,
            _ => self.chance.arbitrary()?,
        };
        self.put(number.into());
        Ok(())
    }

    fn term(&mut self) -> Result<()> {
        self.near(self.scene.term)
    }

    fn index(&mut self) -> Result<()> {
        let middle = if self.flip()? { self.scene.last.0 } else { self.scene.commit };
        self.near(middle)
    }

    fn entry_id(&mut self) -> Result<()> {
        match self.chance.int_in_range(0..=3u8)? {
            0 => {
                self.put(0);
                self.put(0);
            }
            1 | 2 => {
                self.put(self.scene.last.0.into());
                self.put(self.scene.last.1.into());
            }
            _ => {
                self.index()?;
                self.term()?;
            }
        }
        Ok(())
    }

    fn flip(&mut self) -> Result<bool> {
        self.chance.arbitrary()
    }

    fn bool(&mut self) -> Result<()> {
        let bit = self.flip()?;
        self.put(bit.into());
        Ok(())
    }

    fn wide(&mut self) -> Result<()> {
        let number = match self.chance.int_in_range(0..=4u8)? {
            0 => self.chance.arbitrary()?,
            1 => u128::MAX,
            small => u128::from(small) - 2,
        };
        self.put(number);
        Ok(())
    }

    fn cluster(&mut self) -> Result<()> {
        match self.chance.ratio(1u8, 8u8)? {
            true => self.wide(),
            false => {
                self.put(self.scene.cluster);
                Ok(())
            }
        }
    }

    fn option(&mut self, some: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let is_there = self.flip()?;
        self.put(is_there.into());
        if is_there { some(self) } else { Ok(()) }
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let many: u16 = match self.chance.int_in_range(0..=31u16)? {
            0 => 1000,
            few => few % 4,
        };
        // A list may say that it is longer than it is.
        let lies = self.chance.ratio(1u8, 16u8)?;
        self.put(if lies { 1 << 30 } else { many.into() });
        (0..many).try_for_each(|_| item(self))
    }

    fn str(&mut self, text: &[u8]) {
        self.put(text.len() as u128);
        self.out.extend_from_slice(text);
    }

    fn text(&mut self) -> Result<()> {
        let len = self.chance.int_in_range(0..=80usize)?.min(self.chance.len());
        let text = self.chance.bytes(len)?.to_vec();
        self.str(&text);
        Ok(())
    }

    fn node(&mut self) -> Result<()> {
        if self.scene.names.is_empty() || self.chance.ratio(1u8, 10u8)? {
            return self.text();
        }
        let name = self.chance.choose(&self.scene.names)?.clone();
        self.str(name.as_bytes());
        Ok(())
    }

    fn address(&mut self) -> Result<()> {
        match self.chance.int_in_range(0..=4u8)? {
            0 => self.text()?,
            1 => self.str(b"[::1]:0"),
            port => self.str(format!("host:{port}").as_bytes()),
        }
        Ok(())
    }

    fn small(&mut self, below: u8) -> Result<()> {
        let kind = self.chance.int_in_range(0..=below)?;
        self.kind(kind);
        Ok(())
    }

    fn hello(&mut self) -> Result<()> {
        let honest = self.chance.ratio(3u8, 4u8)?;
        if honest {
            self.put(1);
            self.put(1);
            self.str(b"diskeyval");
        } else {
            self.number()?;
            self.number()?;
            self.text()?;
        }
        self.option(Self::cluster)?;
        self.node()?;
        self.wide()?;
        self.wide()?;
        self.small(2)?;
        self.option(Self::number)?;
        self.option(Self::index)?;
        self.entry_id()?;
        self.option(Self::index)?;
        self.option(Self::address)?;
        let priority = self.chance.arbitrary()?;
        self.out.push(priority);
        self.small(2)
    }

    fn directive(&mut self) -> Result<()> {
        self.kind(5);
        let kind = self.chance.int_in_range(0..=5u8)?;
        self.kind(kind);
        self.term()?;
        match kind {
            0 => {
                self.cluster()?;
                self.entry_id()?;
                self.entry_id()?;
                self.index()?;
                for _ in 0..self.chance.int_in_range(0..=4u8)? {
                    let entry = {
                        let mut inner = Writer { scene: self.scene, chance: self.chance, out: Vec::new() };
                        inner.entry()?;
                        inner.out
                    };
                    self.out.extend_from_slice(&framed(&entry));
                }
            }
            1 => self.index()?,
            2 => {
                self.entry_id()?;
                self.index()?;
                self.number()?;
                self.index()?;
                self.option(|writer| {
                    writer.index()?;
                    writer.option(Self::wide)
                })?;
            }
            4 => {
                self.cluster()?;
                self.entry_id()?;
                self.entry_id()?;
                self.number()?;
                self.number()?;
                self.bool()?;
                let len = self.chance.int_in_range(0..=40usize)?.min(self.chance.len());
                let piece = self.chance.bytes(len)?.to_vec();
                self.out.extend_from_slice(&piece);
            }
            _ => {}
        }
        Ok(())
    }

    fn pledge(&mut self) -> Result<()> {
        self.kind(6);
        let kind = self.chance.int_in_range(0..=5u8)?;
        self.kind(kind);
        self.term()?;
        match kind {
            0 => {
                self.bool()?;
                self.entry_id()?;
                self.bool()?;
                self.entry_id()
            }
            1 => {
                self.bool()?;
                self.bool()
            }
            2 => self.index(),
            3 => {
                self.index()?;
                self.entry_id()
            }
            4 => {
                self.number()?;
                self.option(|writer| {
                    writer.index()?;
                    writer.wide()
                })
            }
            _ => {
                self.number()?;
                self.entry_id()?;
                self.number()
            }
        }
    }

    fn service(&mut self) -> Result<()> {
        self.kind(7);
        let kind = self.chance.int_in_range(0..=11u8)?;
        self.kind(kind);
        match kind {
            0 => Ok(()),
            1 => {
                self.number()?;
                self.attempt()?;
                self.entry()
            }
            2 => {
                self.number()?;
                self.attempt()?;
                self.small(5)
            }
            3 => {
                self.number()?;
                self.bool()
            }
            4 | 9 => {
                self.number()?;
                self.index()
            }
            5 => self.number(),
            6 => {
                self.number()?;
                self.option(Self::node)
            }
            7 => {
                self.number()?;
                self.obstacle()
            }
            8 => {
                self.number()?;
                self.change()?;
                self.number()
            }
            10 => {
                self.number()?;
                self.obstacle()?;
                self.text()
            }
            _ => self.list(Self::member),
        }
    }

    fn attempt(&mut self) -> Result<()> {
        let attempt: u32 = if self.flip()? { 1 } else { self.chance.arbitrary()? };
        self.put(attempt.into());
        Ok(())
    }

    /// Both kinds of reasons have a number, and behind some of them a name, a limit or a change.
    fn obstacle(&mut self) -> Result<()> {
        self.small(9)?;
        match self.chance.int_in_range(0..=3u8)? {
            0 => self.node(),
            1 => self.option(Self::node),
            2 => self.number(),
            _ => self.change(),
        }
    }

    fn change(&mut self) -> Result<()> {
        let kind = self.chance.int_in_range(0..=4u8)?;
        self.kind(kind);
        match kind {
            0 => self.list(Self::member),
            1 => self.member(),
            2 | 3 => self.node(),
            _ => {
                self.node()?;
                self.address()
            }
        }
    }

    fn member(&mut self) -> Result<()> {
        self.node()?;
        self.option(Self::address)
    }

    fn entry(&mut self) -> Result<()> {
        self.term()?;
        let kind = self.chance.int_in_range(0..=6u8)?;
        self.kind(kind);
        match kind {
            0 => {
                self.cluster()?;
                self.small(2)?;
                self.members()
            }
            1 => Ok(()),
            2 => self.members(),
            3 => {
                self.node()?;
                self.wide()?;
                self.wide()
            }
            _ => {
                self.index()?;
                self.number()?;
                self.number()?;
                let key = self.chance.bytes(self.chance.len().min(1))?.to_vec();
                let value = if kind == 5 { 0 } else { self.chance.int_in_range(0..=9u8)? };
                let lies = self.chance.ratio(1u8, 20u8)?;
                self.put(if lies { 1 << 31 } else { key.len() as u128 });
                self.put(value.into());
                if kind == 6 {
                    let expect = self.chance.int_in_range(0..=3u8)?;
                    self.kind(expect);
                    if expect == 2 {
                        self.index()?;
                    }
                }
                self.out.extend_from_slice(&key);
                self.out.extend(std::iter::repeat_n(b'v', value.into()));
                Ok(())
            }
        }
    }

    fn members(&mut self) -> Result<()> {
        // Names in their order are what is wanted, mostly.
        if self.chance.ratio(1u8, 4u8)? {
            return (0..3).try_for_each(|_| self.list(Self::seat));
        }
        let names = self.scene.names.clone();
        self.put(names.len() as u128);
        for name in names {
            self.str(name.as_bytes());
            self.option(Self::wide)?;
            self.option(Self::address)?;
        }
        self.put(0);
        self.put(0);
        Ok(())
    }

    fn seat(&mut self) -> Result<()> {
        self.node()?;
        self.option(Self::wide)?;
        self.option(Self::address)
    }
}
