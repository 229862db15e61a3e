//! Ranks that an MPI launcher started.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ::mpi::Threading;
use ::mpi::environment::{Universe, processor_name};
use ::mpi::request;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, Destination, Equivalence, Source};

use super::interface::Ranks;
use super::world::gather;
use crate::error::{Error, Result};

/// The processes of MPI's world. MPI ends with this value.
///
/// Each exchange is a message from every rank to every other, without MPI's collective calls: a rank then knows for whom it
/// waits. As many bytes are sent as by a ring.
pub struct Mpi {
    _universe: Universe,
    rank: usize,
    size: usize,
    local: [usize; 2],
    /// The names of the machines of all ranks.
    hosts: Vec<String>,
    /// The longest wait in seconds; 0 if there is no limit.
    limit: AtomicU64,
    thread: ThreadId,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "rank {} of {}", self.rank, self.size)
    }
}

/// Messages up to this size are sent without the receiver's help. Before longer ones, ranks wait for each other.
const SHORT: usize = 1 << 12;

/// Time between two looks at messages while others are late. Their processor is left to the threads that work.
const PAUSE: Duration = Duration::from_micros(50);

/// Time before the first such pause.
const ALERT: Duration = Duration::from_millis(1);

/// Time for the lowest rank that waits to end all of them, before another says for whom it waits.
const LOWEST_SPEAKS: Duration = Duration::from_secs(2);

/// Time for a launcher to pass on what a process has printed, before it ends all of them. MPICH's may lose it otherwise.
const PASSED_ON: Duration = Duration::from_millis(200);

/// Exit code after a panic, as Rust's own.
const PANICKED: i32 = 101;

/// Exit code after a wait that was too long: that of errors of the device.
const WAITED: i32 = 2;

/// Ends all processes.
fn end_all(code: i32) -> ! {
    thread::sleep(PASSED_ON);
    SimpleCommunicator::world().abort(code)
}

impl Mpi {
    /// Joins the other processes. From then on, a panic of this thread ends all of them.
    ///
    /// # Errors
    /// [`Error::Device`] if MPI was used before or lets no program with threads call it.
    pub fn join() -> Result<Self> {
        let remedy = "start the program by the launcher of the MPI that it was built with";
        let Some((universe, threading)) = ::mpi::initialize_with_threading(Threading::Funneled) else {
            return Err(Error::device("MPI is already in use", remedy));
        };
        if threading < Threading::Funneled {
            return Err(Error::device("this MPI does not allow a program to have threads", "install another MPI"));
        }
        let world = universe.world();
        let shared = world.split_shared(world.rank());
        let local = [shared.rank(), shared.size()].map(|number| number as usize);
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let thread = thread::current().id();
        // Without this, the others would wait for ever for a rank that is gone.
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            eprint!("rank {rank}: ");
            print(panic);
            if thread::current().id() == thread {
                end_all(PANICKED);
            }
        }));
        let limit = AtomicU64::new(0);
        let mut joined = Mpi { _universe: universe, rank, size, local, hosts: Vec::new(), limit, thread };
        let hosts = gather(&joined, processor_name().unwrap_or_default().as_bytes())?;
        joined.hosts = hosts.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(joined)
    }

    /// The world, for the thread that joined.
    fn world(&self) -> Result<SimpleCommunicator> {
        if thread::current().id() != self.thread {
            return Err(Error::Graph("ranks exchange from the thread that joined them, and no other".into()));
        }
        Ok(SimpleCommunicator::world())
    }

    /// Sends each rank its block of `sent`, and receives one of equal length from each, in the order of ranks.
    fn swap<'a>(&self, sent: impl Fn(usize) -> &'a [u8], length: usize) -> Result<Vec<u8>> {
        if length > SHORT {
            self.deliver(|_| &[0], 1, Some(PAUSE))?;
            return self.deliver(sent, length, None);
        }
        self.deliver(sent, length, Some(PAUSE))
    }

    /// The same, with a `pause` between two looks at the messages. Long messages make progress only when looked at.
    fn deliver<'a>(&self, sent: impl Fn(usize) -> &'a [u8], length: usize, pause: Option<Duration>) -> Result<Vec<u8>> {
        let mut received = vec![0; length * self.size];
        if length == 0 {
            return Ok(received);
        }
        let world = self.world()?;
        let mut blocks: Vec<_> = received.chunks_exact_mut(length).enumerate().collect();
        blocks[self.rank].1.copy_from_slice(sent(self.rank));
        // Every rank begins with the one after it, so that not all send to the same.
        blocks.rotate_left(self.rank);
        let mut short = None;
        request::scope(|scope| {
            let mut open = Vec::with_capacity(2 * self.size);
            for (rank, into) in blocks.into_iter().skip(1) {
                let other = world.process_at_rank(rank as i32);
                open.push((rank, true, other.immediate_receive_into(scope, into)));
            }
            for rank in (1..self.size).map(|step| (self.rank + step) % self.size) {
                open.push((rank, false, world.process_at_rank(rank as i32).immediate_send(scope, sent(rank))));
            }
            let limit = Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0).map(Duration::from_secs);
            let (mut waited, mut before) = (Duration::ZERO, Instant::now());
            loop {
                let still = open.into_iter().filter_map(|(rank, receives, request)| match request.test() {
                    Ok(status) => {
                        let count = if receives { status.count(u8::equivalent_datatype()) as usize } else { length };
                        if count != length {
                            short = Some((rank, count));
                        }
                        None
                    }
                    Err(request) => Some((rank, receives, request)),
                });
                open = still.collect();
                if open.is_empty() {
                    break;
                }
                let now = Instant::now();
                // If this process itself was stopped and continues, no more than a second of that counts.
                waited += (now - before).min(Duration::from_secs(1));
                before = now;
                if limit.is_some_and(|limit| waited > limit) {
                    self.give_up(open.iter().map(|(rank, ..)| *rank).collect(), waited);
                }
                match pause.filter(|_| waited > ALERT) {
                    Some(pause) => thread::sleep(pause),
                    None => thread::yield_now(),
                }
            }
        });
        match short {
            None => Ok(received),
            Some((rank, count)) => {
                let reason = format!("rank {rank} sent {count} bytes where {length} were expected");
                Err(Error::Graph(format!("{reason}; give all ranks the same program, options and data")))
            }
        }
    }

    /// Ends all processes, as the ranks `missing` take no part in an exchange.
    fn give_up(&self, mut missing: Vec<usize>, waited: Duration) -> ! {
        missing.sort_unstable();
        missing.dedup();
        let lowest = (0..self.size).find(|rank| !missing.contains(rank));
        if lowest != Some(self.rank) {
            thread::sleep(LOWEST_SPEAKS);
        }
        let named = |rank: &usize| format!("rank {rank} on {}", self.hosts[*rank]);
        let missing = missing.iter().map(named).collect::<Vec<_>>().join(", ");
        let (rank, seconds) = (self.rank, waited.as_secs());
        let _ = writeln!(
            std::io::stderr(),
            "error: rank {rank} has waited {seconds} s for {missing}; see what keeps it there, or raise \
             train.rank_timeout, and resume the run"
        );
        self.abort(WAITED)
    }
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        self.local[0]
    }

    fn local_size(&self) -> usize {
        self.local[1]
    }

    fn machine(&self) -> &str {
        &self.hosts[self.rank]
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        self.swap(|_| own, own.len())
    }

    fn all_to_all(&self, blocks: &[u8]) -> Result<Vec<u8>> {
        let length = blocks.len() / self.size;
        self.swap(|rank| &blocks[rank * length..(rank + 1) * length], length)
    }

    fn limit_waits(&self, seconds: u64) {
        self.limit.store(seconds, Ordering::Relaxed);
    }

    fn abort(&self, code: i32) -> ! {
        end_all(code)
    }
}
