//! Ranks that an MPI launcher started.

use std::thread::ThreadId;

use ::mpi::Threading;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives};

use super::interface::Ranks;
use crate::error::{Error, Result};

/// The processes of MPI's world. MPI ends with this value.
pub struct Mpi {
    _universe: Universe,
    rank: usize,
    size: usize,
    local: [usize; 2],
    thread: ThreadId,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "rank {} of {}", self.rank, self.size)
    }
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
        let thread = std::thread::current().id();
        // Without this, the others would wait for ever for a rank that is gone.
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            eprint!("rank {rank}: ");
            print(panic);
            if std::thread::current().id() == thread {
                SimpleCommunicator::world().abort(PANICKED);
            }
        }));
        Ok(Mpi { _universe: universe, rank, size, local, thread })
    }

    /// The world, for the thread that joined.
    fn world(&self) -> Result<SimpleCommunicator> {
        if std::thread::current().id() != self.thread {
            return Err(Error::Graph("ranks exchange from the thread that joined them, and no other".into()));
        }
        Ok(SimpleCommunicator::world())
    }
}

/// Exit code after a panic, as Rust's own.
const PANICKED: i32 = 101;

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

    fn all_gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        let mut all = vec![0; own.len() * self.size];
        self.world()?.all_gather_into(own, &mut all[..]);
        Ok(all)
    }

    fn all_to_all(&self, blocks: &[u8]) -> Result<Vec<u8>> {
        let mut mine = vec![0; blocks.len()];
        self.world()?.all_to_all_into(blocks, &mut mine[..]);
        Ok(mine)
    }

    fn abort(&self, code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }
}
