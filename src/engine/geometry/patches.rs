//! The patches of an image that a convolution multiplies.

/// The patches of an image: patch (oy, ox) begins at row oy·stride − padding, likewise across, zeros outside.
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
    /// Zeros around the image.
    pub padding: usize,
}

impl Patches {
    /// All whole patches: ⌊(extent + 2·padding − kernel) / stride⌋ + 1 down and across.
    pub(crate) fn of(image: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Result<Self, String> {
        let fits = image[1..3].iter().all(|extent| extent + 2 * padding >= kernel);
        if !fits || stride == 0 || padding >= kernel || image.contains(&0) {
            return Err(format!(
                "an image {image:?} has no patches of {kernel}, stride {stride}, padding {padding} (less than a patch)"
            ));
        }
        let grid = [image[1], image[2]].map(|extent| (extent + 2 * padding - kernel) / stride + 1);
        Ok(Patches { image, grid, kernel, stride, padding })
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

    /// `Window` of `shaders/common/patches.wgsl`.
    pub(crate) fn words(&self) -> [usize; 8] {
        let [_, height, width, channels] = self.image;
        let [rows, columns] = self.grid;
        [height, width * channels, rows, columns, self.kernel * channels, self.stride, self.padding, channels]
    }

    /// The gradient with respect to the image as a product: the patches of the gradient \[B, OH, OW, outputs\] that it
    /// reads, and the patches of the image that it writes, which cover every pixel once.
    ///
    /// With i + padding = stride·q + r, pixel i is in patch q − t at tap stride·t + r, for t < reach. So the stride²
    /// pixels of a block q are sums over the reach² patches from q − reach + 1 to q.
    pub(crate) fn transposed(&self, outputs: usize) -> (Patches, Patches) {
        let [batch, height, width, _] = self.image;
        let padding = self.padding % self.stride;
        let grid = [height, width].map(|extent| (extent + padding).div_ceil(self.stride));
        let read = Patches {
            image: [batch, self.grid[0], self.grid[1], outputs],
            grid,
            kernel: self.reach(),
            stride: 1,
            padding: self.reach() - 1 - self.padding / self.stride,
        };
        (read, Patches { grid, kernel: self.stride, padding, ..*self })
    }
}
