//! Which images a training step uses: a pure function of the step.

use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::data::random::{Purpose, stream};

/// The images of each step (method.md 7.5): every epoch is reshuffled, and its incomplete last batch dropped. A balanced
/// epoch has as many images, but may have some of them several times and others not at all.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    images: usize,
    batch: usize,
    seed: u64,
    balance: Option<Arc<Balance>>,
    /// The most recent epoch and its order of images.
    current: Option<(u64, Vec<usize>)>,
}

/// An image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) epoch: u64,
    pub(super) image: usize,
    /// Tells this augmentation of the image from all others of the epoch.
    pub(super) counter: u64,
}

impl Sampler {
    pub(super) fn new(images: usize, batch: usize, seed: u64, balance: Option<Balance>) -> Self {
        Self { images, batch, seed, balance: balance.map(Arc::new), current: None }
    }

    /// The images of a step.
    pub(super) fn batch(&mut self, step: u64) -> Vec<Draw> {
        let steps = (self.images / self.batch) as u64;
        let (epoch, first) = (step / steps, (step % steps) as usize * self.batch);
        if self.current.as_ref().is_some_and(|(held, _)| *held != epoch) {
            self.current = None;
        }
        let (images, seed, balance) = (self.images, self.seed, self.balance.clone());
        let (_, order) = self.current.get_or_insert_with(|| {
            let order = match &balance {
                Some(balance) => balance.order(seed, epoch),
                None => {
                    let mut order: Vec<usize> = (0..images).collect();
                    order.shuffle(&mut stream(seed, Purpose::Shuffle, [epoch, 0]).0);
                    order
                }
            };
            (epoch, order)
        });
        let draw = |(place, image): (usize, &usize)| {
            // An image that is drawn again must not get the same crop.
            let again = if balance.is_some() { (place as u64 + 1) << 32 } else { 0 };
            Draw { epoch, image: *image, counter: *image as u64 | again }
        };
        (first..).zip(&order[first..][..self.batch]).map(draw).collect()
    }
}

/// Images by what they show, for epochs in which every class is seen alike.
#[derive(Debug)]
pub(super) struct Balance {
    /// The groups that each image is in: its classes, or that of the images without tags.
    groups_of: Vec<Vec<usize>>,
    /// The images of each group.
    members: Vec<Vec<usize>>,
}

impl Balance {
    /// `tags` are the classes of each image, of `classes` classes.
    pub(super) fn new(tags: Vec<Vec<usize>>, classes: usize) -> Self {
        let groups_of: Vec<_> =
            tags.into_iter().map(|tags| if tags.is_empty() { vec![classes] } else { tags }).collect();
        let mut members = vec![Vec::new(); classes + 1];
        for (image, groups) in groups_of.iter().enumerate() {
            groups.iter().for_each(|group| members[*group].push(image));
        }
        Balance { groups_of, members }
    }

    /// As many images as there are: always the next one of the group that was seen least so far. The images of a group
    /// come in a random order, again and again.
    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut random = stream(seed, Purpose::Shuffle, [epoch, 0]).0;
        let mut groups: Vec<usize> = (0..self.members.len()).filter(|group| !self.members[*group].is_empty()).collect();
        groups.shuffle(&mut random);
        let mut queues = vec![Vec::new(); self.members.len()];
        let mut seen = vec![0; self.members.len()];
        let mut order = Vec::with_capacity(self.groups_of.len());
        while order.len() < self.groups_of.len() {
            // The first of equals, in a random order.
            let Some(group) = groups.iter().copied().min_by_key(|group| seen[*group]) else { break };
            let queue = &mut queues[group];
            if queue.is_empty() {
                queue.clone_from(&self.members[group]);
                queue.shuffle(&mut random);
            }
            let Some(image) = queue.pop() else { break };
            self.groups_of[image].iter().for_each(|group| seen[*group] += 1);
            order.push(image);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(draws: &[Draw]) -> Vec<usize> {
        draws.iter().map(|draw| draw.image).collect()
    }

    /// Protects resuming: every epoch is a permutation of its own, and any step can be requested first.
    #[test]
    fn sampler_is_a_pure_function_of_the_step() {
        let new = |seed| Sampler::new(7, 3, seed, None);
        let mut sampler = new(1);
        let mut batches = Vec::new();
        for step in 0..6 {
            let draws = sampler.batch(step);
            assert!(draws.iter().all(|draw| draw.epoch == step / 2), "7 images give two batches of 3 per epoch");
            assert!(draws.iter().all(|draw| draw.counter == draw.image as u64));
            assert_eq!(new(1).batch(step), draws);
            batches.push(images(&draws));
        }
        for epoch in batches.chunks(2) {
            let mut seen = epoch.concat();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 6, "no image twice in an epoch");
        }
        assert_ne!(batches[..2], batches[2..4], "epochs differ");
        assert_ne!(images(&new(2).batch(0)), batches[0], "seeds differ");
    }

    /// Protects `data.balance`: of 90 images of class 0, nine of class 1, three of class 2, one of them of class 0 too, and
    /// six without tags, every class is seen alike; a step is the same whatever came before it; no crop comes twice.
    #[test]
    fn a_balanced_epoch_shows_every_class_alike() {
        let mut tags = vec![vec![0]; 90];
        tags.extend(vec![vec![1]; 9]);
        tags.extend([vec![2], vec![2], vec![0, 2]]);
        tags.extend(vec![vec![]; 6]);
        let new = |seed| Sampler::new(108, 4, seed, Some(Balance::new(tags.clone(), 3)));
        let mut sampler = new(1);
        let mut counts = [0; 4];
        let mut counters = Vec::new();
        for step in 0..27 {
            let draws = sampler.batch(step);
            assert_eq!(new(1).batch(step), draws);
            for draw in draws {
                let own: &[usize] = if tags[draw.image].is_empty() { &[3] } else { &tags[draw.image] };
                own.iter().for_each(|group| counts[*group] += 1);
                counters.push(draw.counter);
            }
        }
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        counters.sort_unstable();
        counters.dedup();
        assert_eq!(counters.len(), 108);
        let epochs = |sampler: &mut Sampler, from: u64| {
            (from..from + 27).flat_map(|step| images(&sampler.batch(step))).collect::<Vec<_>>()
        };
        assert_ne!(epochs(&mut new(1), 0), epochs(&mut new(1), 27), "epochs differ");
        assert_ne!(epochs(&mut new(1), 0), epochs(&mut new(2), 0), "seeds differ");
    }
}
