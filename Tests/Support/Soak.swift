import Glibc

/// `make soak`: what takes longer is wanted.
package let isSoak = unsafe getenv("SOAK") != nil
