//! Where a report was measured: the fingerprint that decides whether two reports may be compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quota::CpuQuota;
use crate::read::Violation;

/// The machine, the emulator and the tools that measured. A field that could not be read is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// `erlang:system_info(otp_release)`, for example `25`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otp_release: Option<String>,
    /// `erlang:system_info(version)`, for example `13.1.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erts_version: Option<String>,
    /// `erlang:system_info(emu_flavor)`: `jit` or `emu`; with the build type if that is not `opt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erts_flavor: Option<String>,
    /// The flags of the router's BEAM as its emulator and `init` took them, without those that say
    /// where something is: `+sbwt none +S 4 -kernel logger_level warning`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_flags: Option<String>,
    /// `erlang:system_info(schedulers_online)` of the router's BEAM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedulers_online: Option<u32>,
    /// `true` where the router's BEAM ran already, and was measured without a restart between blocks;
    /// absent where each block had a fresh one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<bool>,
    /// `true` where the router's BEAM was a distributed node, which `init/1` may make it; absent where
    /// it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distributed: Option<bool>,
    /// Logical processors that the BEAM may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<u32>,
    /// Processor model as the kernel names it; of processors that it only numbers, implementer,
    /// part, variant and revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// The smallest processor quota from the control group up to the root. Absent where it could
    /// not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<CpuQuota>,
    /// Physical memory; 1 MB = 1024 × 1024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_mb: Option<u64>,
    /// Kernel name and release, for example `Linux 6.1.0-18-amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The smallest limits from the control group up to the root, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_limits: Option<ContainerLimits>,
    /// The clock that timed the requests, for example `clock_gettime(CLOCK_MONOTONIC)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_source: Option<String>,
    /// Version of the recorder NIF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nif_version: Option<String>,
    /// Version of the Erlang application `router_bench`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_bench_version: Option<String>,
    /// Cargo profile that built the NIF: `release` or `debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rust_profile: Option<String>,
    /// What carries a request to the router and its answer back, as the adapter names it: `nats`.
    /// Absent where the router is called inside its BEAM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The server of the transport and its version, for example `nats-server 2.9.10`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_server: Option<String>,
    /// The version of TLS that was negotiated, for example `TLSv1.3`; absent without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_tls_version: Option<String>,
    /// The cipher suite that was negotiated; absent without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_tls_cipher: Option<String>,
}

impl Environment {
    /// What several machines state alike; what they do not is absent.
    #[must_use]
    pub fn common(all: &[&Self]) -> Self {
        fn alike<T: PartialEq + Clone>(
            all: &[&Environment],
            field: impl Fn(&Environment) -> &Option<T>,
        ) -> Option<T> {
            let (first, others) = all.split_first()?;
            let is_alike = others.iter().all(|other| field(other) == field(first));
            field(first).clone().filter(|_| is_alike)
        }
        Self {
            otp_release: alike(all, |env| &env.otp_release),
            erts_version: alike(all, |env| &env.erts_version),
            erts_flavor: alike(all, |env| &env.erts_flavor),
            vm_flags: alike(all, |env| &env.vm_flags),
            schedulers_online: alike(all, |env| &env.schedulers_online),
            attached: alike(all, |env| &env.attached),
            distributed: alike(all, |env| &env.distributed),
            cpu_count: alike(all, |env| &env.cpu_count),
            cpu_model: alike(all, |env| &env.cpu_model),
            cpu_quota: alike(all, |env| &env.cpu_quota),
            memory_total_mb: alike(all, |env| &env.memory_total_mb),
            kernel: alike(all, |env| &env.kernel),
            container_limits: alike(all, |env| &env.container_limits),
            clock_source: alike(all, |env| &env.clock_source),
            nif_version: alike(all, |env| &env.nif_version),
            router_bench_version: alike(all, |env| &env.router_bench_version),
            rust_profile: alike(all, |env| &env.rust_profile),
            transport: alike(all, |env| &env.transport),
            transport_server: alike(all, |env| &env.transport_server),
            transport_tls_version: alike(all, |env| &env.transport_tls_version),
            transport_tls_cipher: alike(all, |env| &env.transport_tls_cipher),
        }
    }

    /// A server or a cipher of no transport would be taken for a local router's.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let of_none = [
            ("transport_server", &self.transport_server),
            ("transport_tls_version", &self.transport_tls_version),
            ("transport_tls_cipher", &self.transport_tls_cipher),
        ];
        match of_none.into_iter().find(|(_, value)| value.is_some() && self.transport.is_none()) {
            Some((key, _)) => Err(Violation::new(
                ["env".into(), key.into()],
                "the report names no transport",
                "say in `env.transport` what carries the requests",
            )),
            None => Ok(()),
        }
    }
}

/// What a control group allows. A limit that is not set is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerLimits {
    /// Of the group with the smallest processor quota: quota and period in microseconds, as
    /// `cpu.max` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_max: Option<String>,
    /// The smallest memory limit, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max_bytes: Option<u64>,
}

/// A part of the fingerprint that a policy may require to be equal.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentField {
    /// OTP release.
    OtpRelease,
    /// ERTS version.
    ErtsVersion,
    /// Emulator flavour.
    ErtsFlavor,
    /// Flags of the router's BEAM.
    VmFlags,
    /// Schedulers online.
    SchedulersOnline,
    /// Processor count.
    CpuCount,
    /// Processor model.
    CpuModel,
    /// Smallest processor quota.
    CpuQuota,
    /// Physical memory.
    MemoryTotalMb,
    /// Kernel name and the first two numbers of its release.
    KernelMajorMinor,
    /// Clock that timed the requests.
    ClockSource,
    /// Version of the recorder NIF.
    NifVersion,
    /// Version of `router_bench`.
    RouterBenchVersion,
    /// Cargo profile of the NIF.
    RustProfile,
    /// What carries requests to the router.
    Transport,
    /// Its server and version.
    TransportServer,
    /// Its version of TLS.
    TransportTlsVersion,
    /// Its cipher suite.
    TransportTlsCipher,
}

impl EnvironmentField {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 18] = [
        Self::OtpRelease,
        Self::ErtsVersion,
        Self::ErtsFlavor,
        Self::VmFlags,
        Self::SchedulersOnline,
        Self::CpuCount,
        Self::CpuModel,
        Self::CpuQuota,
        Self::MemoryTotalMb,
        Self::KernelMajorMinor,
        Self::ClockSource,
        Self::NifVersion,
        Self::RouterBenchVersion,
        Self::RustProfile,
        Self::Transport,
        Self::TransportServer,
        Self::TransportTlsVersion,
        Self::TransportTlsCipher,
    ];

    /// What must be equal whatever the policy says: over another transport another thing is measured.
    pub const ALWAYS_REQUIRED: [Self; 3] =
        [Self::Transport, Self::TransportTlsVersion, Self::TransportTlsCipher];

    /// What must be equal for a direct comparison where the policy does not say.
    pub const DEFAULT_REQUIRED: [Self; 8] = [
        Self::OtpRelease,
        Self::ErtsFlavor,
        Self::VmFlags,
        Self::CpuCount,
        Self::CpuModel,
        Self::CpuQuota,
        Self::SchedulersOnline,
        Self::KernelMajorMinor,
    ];

    /// The key in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtpRelease => "otp_release",
            Self::ErtsVersion => "erts_version",
            Self::ErtsFlavor => "erts_flavor",
            Self::VmFlags => "vm_flags",
            Self::SchedulersOnline => "schedulers_online",
            Self::CpuCount => "cpu_count",
            Self::CpuModel => "cpu_model",
            Self::CpuQuota => "cpu_quota",
            Self::MemoryTotalMb => "memory_total_mb",
            Self::KernelMajorMinor => "kernel_major_minor",
            Self::ClockSource => "clock_source",
            Self::NifVersion => "nif_version",
            Self::RouterBenchVersion => "router_bench_version",
            Self::RustProfile => "rust_profile",
            Self::Transport => "transport",
            Self::TransportServer => "transport_server",
            Self::TransportTlsVersion => "transport_tls_version",
            Self::TransportTlsCipher => "transport_tls_cipher",
        }
    }

    /// This part of a fingerprint, as text for comparison and display.
    #[must_use]
    pub fn of(self, environment: &Environment) -> Option<String> {
        match self {
            Self::OtpRelease => environment.otp_release.clone(),
            Self::ErtsVersion => environment.erts_version.clone(),
            Self::ErtsFlavor => environment.erts_flavor.clone(),
            Self::VmFlags => environment.vm_flags.clone(),
            Self::SchedulersOnline => environment.schedulers_online.map(|n| n.to_string()),
            Self::CpuCount => environment.cpu_count.map(|n| n.to_string()),
            Self::CpuModel => environment.cpu_model.clone(),
            Self::CpuQuota => environment.cpu_quota.map(|quota| quota.to_string()),
            Self::MemoryTotalMb => environment.memory_total_mb.map(|n| n.to_string()),
            Self::KernelMajorMinor => environment.kernel.as_deref().map(kernel_major_minor),
            Self::ClockSource => environment.clock_source.clone(),
            Self::NifVersion => environment.nif_version.clone(),
            Self::RouterBenchVersion => environment.router_bench_version.clone(),
            Self::RustProfile => environment.rust_profile.clone(),
            Self::Transport => environment.transport.clone(),
            Self::TransportServer => environment.transport_server.clone(),
            Self::TransportTlsVersion => environment.transport_tls_version.clone(),
            Self::TransportTlsCipher => environment.transport_tls_cipher.clone(),
        }
    }

    /// What it means that a report does not state this part; `None` where nothing is known then.
    #[must_use]
    pub fn unstated(self) -> Option<&'static str> {
        match self {
            Self::Transport => Some("local"),
            Self::TransportServer | Self::TransportTlsVersion | Self::TransportTlsCipher => {
                Some("none")
            }
            _ => None,
        }
    }
}

/// `Linux 6.1.0-18-amd64` → `Linux 6.1`; a text of another form is kept whole, so that it only
/// equals itself.
#[must_use]
pub fn kernel_major_minor(kernel: &str) -> String {
    let short = kernel.split_once(' ').and_then(|(name, release)| {
        let mut numbers = release.splitn(3, '.');
        let major: u32 = numbers.next()?.parse().ok()?;
        let minor_text = numbers.next()?;
        let digits = minor_text.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor_text.len());
        let minor: u32 = minor_text.get(..digits)?.parse().ok()?;
        Some(format!("{name} {major}.{minor}"))
    });
    short.unwrap_or_else(|| kernel.to_owned())
}
