/// The version of this build, as `--version` and `status` tell it.
package let version = "0.1.0"
