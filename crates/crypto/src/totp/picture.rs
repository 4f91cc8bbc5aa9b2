//! A text as a picture that a telephone reads: a QR code (ISO/IEC 18004) in PNG.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};
use strongroom_base::{Error, Result};

/// Pixels of a side.
const SIDE_MAX: i64 = 4_096;
/// Modules that stay light around the code.
const QUIET: usize = 4;

/// The QR code of `text`, `side` pixels wide and high, as PNG in base64.
pub fn png(text: &str, side: i64) -> Result<String> {
    if side > SIDE_MAX {
        return Err(Error::bad_request(format!("the qr_size value must be at most {SIDE_MAX}")));
    }
    let side = u32::try_from(side).unwrap_or_default();
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|_| Error::bad_request("the key's url is too long for a QR code"))?;
    let modules = code.width();
    let pixels = side as usize;
    // Whole pixels for each module, with the quiet zone where there is room for it.
    let scale = match pixels / (modules + 2 * QUIET) {
        0 => pixels / modules,
        scale => scale,
    };
    if scale == 0 {
        let text = format!("the qr_size value must be at least {modules} for this key");
        return Err(Error::bad_request(text));
    }
    let before = (pixels - modules * scale) / 2;
    let dark = |x: usize, y: usize| {
        let at = |p: usize| p.checked_sub(before).map(|p| p / scale).filter(|m| *m < modules);
        at(x).zip(at(y)).is_some_and(|(x, y)| code[(x, y)] == Color::Dark)
    };
    let width = pixels.div_ceil(8);
    // One bit for each pixel: 1 is light.
    let mut bits = vec![0xff_u8; width * pixels];
    for (y, row) in bits.chunks_mut(width).enumerate() {
        for x in (0..pixels).filter(|x| dark(*x, y)) {
            row[x / 8] &= !(0x80 >> (x % 8));
        }
    }
    let failed = |_| Error::internal("a picture could not be written");
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&bits).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(STANDARD.encode(&out))
}
