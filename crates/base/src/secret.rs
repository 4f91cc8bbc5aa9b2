//! Values that must not leak: wiped when dropped, and without `Debug`, `Display`, `Clone` or
//! `Serialize`, so that they cannot reach a log, an error or a reply by accident.

use zeroize::Zeroize;

/// A secret of type `T`, wiped when dropped. Reading it takes the visible call
/// [`Secret::expose_secret`].
pub struct Secret<T: Zeroize>(T);

/// A secret text.
pub type SecretString = Secret<String>;
/// Secret bytes.
pub type SecretBytes = Secret<Vec<u8>>;

impl<T: Zeroize> Secret<T> {
    /// Takes `value` under protection.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &T {
        &self.0
    }

    /// A second copy, as visible in the code as an exposure.
    pub fn duplicate(&self) -> Self
    where
        T: Clone,
    {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize + Default> Default for Secret<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares in time that depends on the lengths only.
    pub fn constant_time_eq(&self, other: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_ref().ct_eq(other).into()
    }
}
