//! Whether this computer saves its battery.
//!
//! Linux: it runs on its battery, and the platform's profile or the processor's preference is the thriftiest one, which
//! is what "power saver" of power-profiles-daemon, TLP and the desktops sets. A desktop that only dims its screen is not
//! told from one that does nothing; D-Bus is not asked. macOS: Low Power Mode, as `pmset -g` shows it.
//!
//! Where it cannot be told, the battery is not saved.

#[cfg(not(target_os = "macos"))]
pub use linux::saves;
#[cfg(target_os = "macos")]
pub use macos::saves;

#[cfg(not(target_os = "macos"))]
mod linux {
    use std::fs;
    use std::io::Read;
    use std::path::{Path, PathBuf};

    /// More than any of these files holds.
    const MAX_TEXT: u64 = 256;

    /// Whether the battery is saved; `sys` is `/sys` but in tests. A few files are read, and nothing is started.
    #[must_use]
    pub fn saves(sys: &Path) -> bool {
        runs_on_battery(&sys.join("class/power_supply")) && is_thrifty(sys)
    }

    /// A battery of the computer (not of a mouse) is being discharged, and no supply is plugged in
    /// (Documentation/ABI/testing/sysfs-class-power).
    fn runs_on_battery(supplies: &Path) -> bool {
        let mut discharging = false;
        for supply in entries(supplies) {
            let says = |name: &str, word: &str| text(&supply.join(name)).as_deref() == Some(word);
            if says("type", "Battery") {
                discharging |= says("status", "Discharging") && !says("scope", "Device");
            } else if says("online", "1") {
                return false;
            }
        }
        discharging
    }

    /// The profile of the firmware (sysfs-platform_profile), or the processor's own preference where there is none.
    fn is_thrifty(sys: &Path) -> bool {
        if let Some(profile) = text(&sys.join("firmware/acpi/platform_profile")) {
            return profile == "low-power";
        }
        let policies = entries(&sys.join("devices/system/cpu/cpufreq"));
        let preference = |policy: PathBuf| text(&policy.join("energy_performance_preference"));
        // All processors have the same one where a person has chosen it.
        policies.into_iter().find_map(preference).as_deref() == Some("power")
    }

    fn entries(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn text(path: &Path) -> Option<String> {
        let mut text = String::new();
        let file = fs::File::open(path).ok()?;
        file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned())
    }
}

#[cfg(target_os = "macos")]
mod macos {
    use crate::adapters::files::pause;
    use std::io::Read;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    /// It answers within some 20 ms.
    const PATIENCE: Duration = Duration::from_secs(1);
    const POLL: Duration = Duration::from_millis(2);
    /// It prints about 30 lines, which fit into a pipe.
    const MAX_TEXT: u64 = 64 * 1024;

    /// Whether the battery is saved. Starts `pmset`, so it is not for often; `_sys` is Linux's.
    #[must_use]
    pub fn saves(_sys: &Path) -> bool {
        let mut command = Command::new("/usr/bin/pmset");
        command
            .arg("-g")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            return false;
        };
        let deadline = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = child.kill();
            }
            pause(POLL);
        }
        let mut text = String::new();
        let output = child.stdout.take();
        let read = output.map(|out| out.take(MAX_TEXT).read_to_string(&mut text));
        matches!(read, Some(Ok(_))) && super::is_low_power(&text)
    }
}

/// Whether `pmset -g` says that Low Power Mode is on: `lowpowermode 1`, or `powermode 1` on machines that have three.
#[cfg(any(target_os = "macos", test))]
fn is_low_power(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("lowpowermode" | "powermode")) && words.next() == Some("1")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn pmset_is_understood() {
        let text = "System-wide power settings:\nCurrently in use:\n standby              1\n lowpowermode         1\n";
        assert!(super::is_low_power(text));
        assert!(super::is_low_power(" powermode            1\n"));
        assert!(!super::is_low_power(
            &text.replace("mode         1", "mode         0")
        ));
        assert!(!super::is_low_power(
            " powermode            2\n highpowermode 1\n"
        ));
        assert!(!super::is_low_power(""));
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn a_battery_is_saved_when_it_runs_down_and_that_is_wanted() {
        let root = tempfile::tempdir().expect("a directory");
        let sys = root.path();
        assert!(!super::saves(sys), "nothing is known");
        let write = |path: &str, text: &str| {
            let path = sys.join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            crate::adapters::files::replace_rebuildable(&path, text.as_bytes(), 0o600)
                .expect("writes");
        };
        let is = |expected: bool, what: &str| assert_eq!(super::saves(sys), expected, "{what}");
        write("class/power_supply/AC/type", "Mains\n");
        write("class/power_supply/AC/online", "0\n");
        write("class/power_supply/BAT0/type", "Battery\n");
        write("class/power_supply/BAT0/status", "Discharging\n");
        is(false, "on battery, with no profile");
        let preference = "devices/system/cpu/cpufreq/policy0/energy_performance_preference";
        write(preference, "power\n");
        is(true, "the processor saves");
        write("firmware/acpi/platform_profile", "balanced\n");
        is(false, "the profile says more");
        write("firmware/acpi/platform_profile", "low-power\n");
        is(true, "power saver");
        write("class/power_supply/AC/online", "1\n");
        is(false, "plugged in");
        write("class/power_supply/AC/online", "0\n");
        write("class/power_supply/BAT0/scope", "Device\n");
        is(false, "the battery is a mouse's");
    }
}
