//! Whether the scans of a JPEG file hold a whole picture. Decoders fill what is missing with grey, and say nothing, also if
//! the marker at the end is there.
//!
//! Sequential pictures and the first scans of progressive ones are followed code by code (ITU-T T.81, annex F), without
//! computing a pixel. What else may be in a file, such as arithmetic codes, is not looked at.

/// Whether a scan of the picture ends before its last but one unit.
pub fn lacks_data(bytes: &[u8]) -> bool {
    Picture::default().read(bytes).unwrap_or(false)
}

#[derive(Default)]
struct Picture {
    /// Progressive, and so only scans of DC values are followed.
    progressive: bool,
    size: [usize; 2],
    components: Vec<Component>,
    /// Tables of codes: DC and AC, four each.
    tables: [[Option<Codes>; 4]; 2],
    restart: usize,
}

#[derive(Clone, Copy)]
struct Component {
    id: u8,
    /// Blocks of 8×8 in a unit, across and down.
    factors: [usize; 2],
}

/// Length and symbol of the code at the start of any 16 bits; length 0 is no code.
struct Codes(Vec<(u8, u8)>);

impl Picture {
    /// `None` where the file is broken in another way or is of a kind that is not followed.
    fn read(&mut self, bytes: &[u8]) -> Option<bool> {
        let mut at = 2;
        loop {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
            at += bytes.get(at..)?.iter().position(|&byte| byte != 0xFF)?;
            let code = bytes[at];
            at += 1;
            if matches!(code, 0x00 | 0x01 | 0xD0..=0xD8) {
                continue;
            }
            if code == 0xD9 {
                return Some(false);
            }
            let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
            let segment = bytes.get(at + 2..at + length)?;
            at += length;
            match code {
                0xC0..=0xC2 => self.frame(code == 0xC2, segment)?,
                0xC4 => self.codes(segment)?,
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => return None,
                0xDD => self.restart = usize::from(u16::from_be_bytes([*segment.first()?, *segment.get(1)?])),
                0xDA if self.is_short(segment, &bytes[at..])? => return Some(true),
                _ => {}
            }
        }
    }

    fn frame(&mut self, progressive: bool, segment: &[u8]) -> Option<()> {
        let number =
            |place: usize| Some(usize::from(u16::from_be_bytes([*segment.get(place)?, *segment.get(place + 1)?])));
        self.progressive = progressive;
        self.size = [number(1)?, number(3)?];
        // The height may follow the first scan.
        if self.size.contains(&0) {
            return None;
        }
        let parts = segment.get(6..6 + 3 * usize::from(*segment.get(5)?))?.chunks(3);
        let component = |part: &[u8]| Component { id: part[0], factors: [part[1] >> 4, part[1] & 15].map(usize::from) };
        self.components = parts.map(component).collect();
        let fine =
            self.components.iter().all(|component| component.factors.iter().all(|factor| (1..=4).contains(factor)));
        fine.then_some(())
    }

    fn codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [class, rest @ ..] = segment {
            let counts = rest.get(..16)?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(16..16 + total)?;
            let mut codes = vec![(0, 0); 1 << 16];
            let (mut next, mut symbol) = (0, symbols.iter());
            for (length, count) in (1..=16).zip(counts) {
                let span = 1 << (16 - length);
                for _ in 0..*count {
                    codes.get_mut(next..next + span)?.fill((length, *symbol.next()?));
                    next += span;
                }
            }
            *self.tables.get_mut(usize::from(class >> 4))?.get_mut(usize::from(class & 15))? = Some(Codes(codes));
            segment = &rest[16 + total..];
        }
        Some(())
    }

    /// Whether a scan ends early. `header` is its segment, `data` what follows.
    fn is_short(&self, header: &[u8], data: &[u8]) -> Option<bool> {
        let count = usize::from(*header.first().filter(|count| (1..=4).contains(*count))?);
        let tail = header.get(1 + 2 * count..)?;
        let (first, approximation) = (*tail.first()?, *tail.get(2)?);
        if self.progressive && (first != 0 || approximation >> 4 != 0) {
            return Some(false);
        }
        let most = |side: usize| self.components.iter().map(|component| component.factors[side]).max();
        let most = [most(0)?, most(1)?];
        let [height, width] = self.size;
        let mut blocks = Vec::new();
        let mut units = width.div_ceil(8 * most[0]) * height.div_ceil(8 * most[1]);
        for part in header[1..=2 * count].chunks(2) {
            let component = self.components.iter().find(|component| component.id == part[0])?;
            let [across, down] = component.factors;
            let repeats = if count == 1 {
                units = (width * across).div_ceil(8 * most[0]) * (height * down).div_ceil(8 * most[1]);
                1
            } else {
                across * down
            };
            let dc = self.tables[0].get(usize::from(part[1] >> 4))?.as_ref()?;
            let ac = self.tables[1].get(usize::from(part[1] & 15))?.as_ref();
            if !self.progressive && ac.is_none() {
                return None;
            }
            blocks.extend((0..repeats).map(|_| (dc, ac.filter(|_| !self.progressive))));
        }
        let mut bits = Bits::new(data);
        let mut unit = 0;
        while unit < units {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                bits.restart()?;
            }
            for (dc, ac) in &blocks {
                let size = bits.symbol(dc)?;
                bits.skip(size.into());
                let mut place = 1;
                while let Some(ac) = ac.filter(|_| place < 64) {
                    match bits.symbol(ac)? {
                        0 => break,
                        symbol => {
                            bits.skip(u32::from(symbol & 15));
                            place += 1 + usize::from(symbol >> 4);
                        }
                    }
                }
            }
            unit += 1;
            if bits.is_over() {
                // Where a restart follows, decoders find their way again.
                if bits.restarts() && self.restart > 0 {
                    unit = unit.next_multiple_of(self.restart);
                    continue;
                }
                return Some(unit < units);
            }
        }
        Some(false)
    }
}

/// The bits of a scan up to a marker, without stuffed bytes.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    buffer: u64,
    /// Bits in the buffer, of which the last `absent` were not in the file.
    held: u32,
    absent: u32,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0, buffer: 0, held: 0, absent: 0 }
    }

    /// Makes at least 32 bits available; those behind the end are zeros, as decoders have it.
    fn fill(&mut self) {
        while self.held <= 48 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    Some(0xFF)
                }
                (Some(0xFF), _) | (None, _) => None,
                (Some(byte), _) => {
                    self.at += 1;
                    Some(*byte)
                }
            };
            self.buffer |= u64::from(byte.unwrap_or(0)) << (56 - self.held);
            self.held += 8;
            self.absent = (self.absent + if byte.is_none() { 8 } else { 0 }).min(1 << 16);
        }
    }

    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        if self.held < 32 {
            self.fill();
        }
        let (length, symbol) = codes.0[(self.buffer >> 48) as usize];
        // Zeros behind the end may be no code.
        if length == 0 && !self.is_near_end() {
            return None;
        }
        self.skip(u32::from(length.max(1)));
        Some(symbol)
    }

    fn skip(&mut self, bits: u32) {
        if self.held < bits {
            self.fill();
        }
        self.buffer = self.buffer.checked_shl(bits).unwrap_or(0);
        self.held = self.held.saturating_sub(bits);
    }

    fn is_near_end(&self) -> bool {
        self.absent > 0
    }

    /// Whether bits behind the end were used.
    fn is_over(&self) -> bool {
        self.absent > self.held
    }

    /// Whether the marker at the end is that of a restart.
    fn restarts(&self) -> bool {
        self.marker().is_some_and(|(_, code)| matches!(code, 0xD0..=0xD7))
    }

    /// Place and code of the next marker.
    fn marker(&self) -> Option<(usize, u8)> {
        let pairs = self.data.get(self.at..)?.windows(2);
        let place = pairs.clone().position(|pair| pair[0] == 0xFF && pair[1] != 0 && pair[1] != 0xFF)?;
        Some((self.at + place + 2, self.data[self.at + place + 1]))
    }

    /// Goes on behind the next marker if it is that of a restart; otherwise what follows is missing.
    fn restart(&mut self) -> Option<()> {
        let (behind, code) = self.marker()?;
        if matches!(code, 0xD0..=0xD7) {
            *self = Bits { data: self.data, at: behind, buffer: 0, held: 0, absent: 0 };
        } else {
            (self.held, self.absent) = (0, 1);
        }
        Some(())
    }
}
