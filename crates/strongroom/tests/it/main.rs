//! The one integration-test binary of the product.

mod cli;
mod hvac;
