//! The images of a data set with their tags, evaluated a batch at a time.

use std::path::Path;

use super::canvas::{cut, padded};
use super::model::{Model, Seen, SeenMap, View};
use super::request::Request;
use crate::data::{Dataset, Rgb8};
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::method::Protocol;

/// Pixels per batch; small images are batched.
const PIXELS: usize = 16 * 128 * 128;

/// A walk over all images of a data set, in the order of their sizes: call [`Batches::advance`] until it returns `None`.
pub(super) struct Batches<'a> {
    model: &'a Model,
    dataset: &'a Dataset,
    request: Request,
    /// Groups that share a view are adjacent.
    groups: std::vec::IntoIter<Group>,
    view: Option<View>,
}

/// Images that were evaluated together.
pub(super) struct Batch {
    /// Positions in the data set, and the images.
    pub(super) images: Vec<(usize, Rgb8)>,
    /// The outputs, padded to `canvas`.
    pub(super) seen: Seen,
    /// Their height and width.
    pub(super) canvas: [usize; 2],
    /// Images of the whole walk before them.
    pub(super) before: usize,
}

/// Images that are padded to one size and form a batch.
struct Group {
    /// The size to which they are padded.
    canvas: [usize; 2],
    /// Batch size of the view; the group may be smaller.
    batch: usize,
    /// Images of all groups before it.
    before: usize,
    /// Their positions in the data set.
    images: Vec<usize>,
}

impl<'a> Batches<'a> {
    /// Starts a walk over `dataset`.
    ///
    /// # Errors
    /// If an image's header cannot be read.
    pub(super) fn new(model: &'a Model, dataset: &'a Dataset, request: Request) -> Result<Self> {
        let groups = groups(model, dataset, request.protocol)?.into_iter();
        Ok(Batches { model, dataset, request, groups, view: None })
    }

    /// Leaves to this rank its share of the images, of which the first rank has the first `shown`.
    pub(super) fn dealt(self, world: &World, shown: usize) -> Self {
        let own = |(index, group): &(usize, Group)| {
            let rank = if group.before < shown { 0 } else { index % world.size() };
            rank == world.rank()
        };
        let groups: Vec<_> = self.groups.enumerate().filter(own).map(|(_, group)| group).collect();
        Batches { groups: groups.into_iter(), ..self }
    }

    /// Plans the largest group, so that one that does not fit the device is an error before the walk begins.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes and the image.
    pub(super) fn check(&self) -> Result<()> {
        let pixels = |group: &&Group| group.batch * group.canvas[0] * group.canvas[1];
        let Some(largest) = self.groups.as_slice().iter().max_by_key(pixels) else { return Ok(()) };
        let checked = self.model.check_view(largest.batch, largest.canvas, self.request);
        checked.map_err(|error| too_large(error, self.dataset.image_path(largest.images[0])))
    }

    /// Evaluates the next images.
    ///
    /// # Errors
    /// If an image is broken or too large for the device, or the device was lost.
    pub(super) fn advance(&mut self) -> Result<Option<Batch>> {
        let Some(Group { canvas, batch, before, images }) = self.groups.next() else { return Ok(None) };
        let (dataset, view) = (self.dataset, self.view.take());
        let fitting = view.filter(|view| view.batch() == batch && view.size() == canvas);
        let prepared = fitting.map_or_else(|| self.model.view_for(batch, canvas, self.request), Ok);
        let prepared = prepared.map_err(|error| too_large(error, dataset.image_path(images[0])))?;
        let view = self.view.insert(prepared);
        let images = images.into_iter().map(|index| Ok((index, dataset.image(index)?))).collect::<Result<Vec<_>>>()?;
        let (mut pixels, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        // A group that is not full is padded with its first image.
        for slot in 0..batch {
            let (index, image) = images.get(slot).unwrap_or(&images[0]);
            pixels.extend(padded(image, canvas).data);
            tags.extend_from_slice(dataset.tags(*index));
            boxes.extend([0, image.height as i32, 0, image.width as i32]);
        }
        Ok(Some(Batch { seen: view.look(&pixels, &tags, &boxes)?, images, canvas, before }))
    }
}

impl Batch {
    /// The part of padded maps that shows image `slot`.
    pub(super) fn cut<T: Copy>(&self, maps: &[T], slot: usize) -> Vec<T> {
        cut(maps, slot, self.canvas, self.own(slot))
    }

    /// The maps of the method of image `slot`.
    pub(super) fn maps(&self, slot: usize) -> Vec<SeenMap> {
        self.seen.maps.iter().map(|map| map.of_image(slot, self.canvas, self.own(slot))).collect()
    }

    /// The probabilities of some of `all` classes at every pixel of image `slot`, \[C, H, W\], if they were requested.
    pub(super) fn probabilities(
        &self,
        slot: usize,
        all: usize,
        classes: impl IntoIterator<Item = usize>,
    ) -> Option<Vec<f32>> {
        let maps = self.seen.probabilities.as_ref()?;
        let of = |class| cut(maps, slot * all + class, self.canvas, self.own(slot));
        Some(classes.into_iter().flat_map(of).collect())
    }

    fn own(&self, slot: usize) -> [usize; 2] {
        let (_, image) = &self.images[slot];
        [image.height, image.width]
    }
}

/// Names the image whose evaluation needs more memory than there is.
pub(super) fn too_large(error: Error, image: &Path) -> Error {
    match error {
        Error::Memory { reason, .. } => Error::data(
            image,
            format!("is too large: {reason}"),
            "scale it (and its mask) down, or use another --device",
        ),
        other => other,
    }
}

/// All images of a data set in groups, see [`grouped`].
fn groups(model: &Model, dataset: &Dataset, protocol: Protocol) -> Result<Vec<Group>> {
    let canvas = |index| Ok((model.canvas_for(protocol, dataset.image_size(index)?), index));
    Ok(grouped((0..dataset.len()).map(canvas).collect::<Result<_>>()?))
}

/// Images, by the size to which they are padded and their position, in groups of one size, sorted so that groups that
/// share a view are adjacent. The groups of a size are as equal as possible, so that they share a view in which hardly
/// any place is empty.
fn grouped(mut images: Vec<([usize; 2], usize)>) -> Vec<Group> {
    images.sort_unstable();
    let (mut groups, mut before) = (Vec::new(), 0);
    for same in images.chunk_by(|(canvas, _), (next, _)| canvas == next) {
        let canvas = same[0].0;
        let most = (PIXELS / (canvas[0] * canvas[1])).clamp(1, 16);
        let batch = same.len().div_ceil(same.len().div_ceil(most));
        let group = |images: &[(_, usize)]| images.iter().map(|(_, index)| *index).collect();
        for images in same.chunks(batch) {
            groups.push(Group { canvas, batch, before, images: group(images) });
            before += images.len();
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the time of an evaluation: a view is not filled with copies of an image, and the groups of a size share
    /// one view.
    #[test]
    fn groups_fill_their_views() {
        let sizes = |counts: &[usize]| -> Vec<_> {
            let sizes = counts.iter().zip(1..).flat_map(|(count, size)| vec![[64, 64 + size]; *count]);
            sizes.zip(0..).collect()
        };
        for (counts, batches) in [
            (vec![1; 10], vec![1; 10]),
            (vec![16, 3], vec![16, 3]),
            (vec![17], vec![9; 2]),
            (vec![20, 1], vec![10, 10, 1]),
            (vec![100], vec![15; 7]),
        ] {
            let groups = grouped(sizes(&counts));
            assert_eq!(groups.iter().map(|group| group.batch).collect::<Vec<_>>(), batches, "{counts:?}");
            let places: usize = groups.iter().map(|group| group.batch).sum();
            let images: usize = counts.iter().sum();
            assert!(places - images < groups.len(), "at most one empty place a group");
            let mut seen: Vec<_> = groups.into_iter().flat_map(|group| group.images).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..images));
        }
        let large = grouped(vec![([512, 1024], 0), ([512, 1024], 1)]);
        assert_eq!(large.iter().map(|group| group.batch).collect::<Vec<_>>(), [1, 1], "memory is limited");
    }
}
