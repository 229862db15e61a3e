//! The patches of an image that a convolution multiplies.

use super::window::{Padding, Window};

/// The patches of an image: patch (oy, ox) begins at row oy·stride − padding\[0\] and column ox·stride − padding\[1\],
/// zeros outside.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Patches {
    /// Extents \[B, H, W, C\] of the image.
    pub image: [usize; 4],
    /// Patches down and across.
    pub grid: [usize; 2],
    /// Height and width of a patch.
    pub kernel: usize,
    /// Step from patch to patch.
    pub stride: usize,
    /// Zeros above and on the left.
    pub padding: [usize; 2],
}

impl Patches {
    /// All whole patches: ⌊(extent + padding − kernel) / stride⌋ + 1 down and across.
    pub(crate) fn of(image: [usize; 4], kernel: usize, stride: usize, padding: Padding) -> Result<Self, String> {
        let [batch, height, width, channels] = image;
        if batch == 0 || channels == 0 {
            return Err(format!("an image {image:?} has no patches"));
        }
        let grid = Window { kernel, stride, dilation: 1, padding }.grid([height, width])?;
        Ok(Patches { image, grid, kernel, stride, padding: padding.before })
    }

    /// Patches of all images.
    pub(crate) fn rows(&self) -> usize {
        self.image[0] * self.grid[0] * self.grid[1]
    }

    /// Elements of a patch, in the order (ky, kx, c).
    pub(crate) fn columns(&self) -> usize {
        self.kernel * self.kernel * self.image[3]
    }

    /// Patches that overlap on a pixel along an axis, at most.
    pub(crate) fn reach(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// `Window` of `shaders/common/patches.wgsl`, filled up to whole fours.
    pub(crate) fn words(&self) -> [usize; 12] {
        let [_, height, width, channels] = self.image;
        let ([rows, columns], [top, left]) = (self.grid, self.padding);
        [height, width * channels, rows, columns, self.kernel * channels, self.stride, top, left, channels, 0, 0, 0]
    }

    /// The gradient with respect to the image as a product: the patches of the gradient \[B, OH, OW, outputs\] that it
    /// reads, and the patches of the image that it writes, which cover every pixel once.
    ///
    /// With i + padding = stride·q + r, pixel i is in patch q − t at tap stride·t + r, for t < reach. So the stride²
    /// pixels of a block q are sums over the reach² patches from q − reach + 1 to q.
    pub(crate) fn transposed(&self, outputs: usize) -> (Patches, Patches) {
        let [batch, height, width, _] = self.image;
        let padding = self.padding.map(|zeros| zeros % self.stride);
        let grid = [height + padding[0], width + padding[1]].map(|extent| extent.div_ceil(self.stride));
        let read = Patches {
            image: [batch, self.grid[0], self.grid[1], outputs],
            grid,
            kernel: self.reach(),
            stride: 1,
            padding: self.padding.map(|zeros| self.reach() - 1 - zeros / self.stride),
        };
        (read, Patches { grid, kernel: self.stride, padding, ..*self })
    }
}
