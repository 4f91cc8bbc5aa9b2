//! The one integration-test binary of the product.

mod cli;
