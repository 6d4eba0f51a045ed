//! The calls around a measurement.

use std::path::Path;

use cp1_format::summary::Summary;
use cp1_format::{Event, Measured, Report, Request, parse, to_json, write_atomically};
use latency_recorder::{
    Arrivals, ClockInfo, Dispatch, HiccupHandle, KernelTimes, Recorder, Recorders, Schedule, Share,
    Snapshot, Taken, WakerHandle, WindowFigures, os_now_ns,
};
use rustler::{Atom, Binary, Encoder, Env, Error, NewBinary, NifResult, OwnedEnv, Term};

use crate::handle::{self, Handle};
use crate::json::{Keys, term_of, value_of};
use crate::list::List;

mod atoms {
    rustler::atoms! {
        ok, error, timeout, rejected, wake, constant, poisson,
        count, clamped, time_went_backwards, min_ns, mean_ns, max_ns,
        p50_ns, p90_ns, p95_ns, p99_ns, p999_ns, encoded,
        offered, skipped, in_flight, version, profile, source, resolution_ns, read_cost_ns,
        cpu_ns, memory_ns,
    }
}

/// `keep_types() -> ok`, once, when the module has loaded the library. Normal scheduler: an allocation for
/// each type.
#[rustler::nif]
fn keep_types() -> Atom {
    handle::keep_types();
    atoms::ok()
}

/// `recorder_new(Threads) -> Recorder`. Dirty because it touches 216 KiB for each thread.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_new(threads: u16) -> NifResult<Handle<'static, Recorder>> {
    match threads {
        0..=1024 => Ok(Handle::new(Recorder::new(threads.into()))),
        _ => Err(Error::BadArg),
    }
}

/// `recorder_snapshot(Recorder) -> map()`. Dirty because it walks all counters and compresses.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_snapshot<'a>(env: Env<'a>, recorder: Handle<'a, Recorder>) -> NifResult<Term<'a>> {
    snapshot_term(env, &recorder.snapshot())
}

fn snapshot_term<'a>(env: Env<'a>, snapshot: &Snapshot) -> NifResult<Term<'a>> {
    let mut pairs = figures(snapshot);
    let encoded =
        snapshot.encode_v2().map_err(|error| Error::RaiseTerm(Box::new(error.to_string())))?;
    let mut terms: Vec<_> = pairs.drain(..).map(|(key, ns)| (key, ns.encode(env))).collect();
    terms.push((atoms::encoded(), encoded.encode(env)));
    Term::map_from_pairs(env, &terms)
}

fn figures(snapshot: &Snapshot) -> Vec<(Atom, u64)> {
    let mut pairs = vec![
        (atoms::count(), snapshot.count()),
        (atoms::clamped(), snapshot.clamped),
        (atoms::time_went_backwards(), snapshot.time_went_backwards),
    ];
    let names =
        [atoms::p50_ns(), atoms::p90_ns(), atoms::p95_ns(), atoms::p99_ns(), atoms::p999_ns()];
    let quantiles = snapshot.quantiles_ns(&[0.5, 0.9, 0.95, 0.99, 0.999]);
    pairs.extend(names.into_iter().zip(quantiles.unwrap_or_default()));
    pairs.extend(snapshot.min_ns().map(|ns| (atoms::min_ns(), ns)));
    pairs.extend(snapshot.mean_ns().map(|ns| (atoms::mean_ns(), ns)));
    pairs.extend(snapshot.max_ns().map(|ns| (atoms::max_ns(), ns)));
    pairs
}

/// `recorder_slice(Recorder) -> map()`: what was recorded since the last call, without encoding.
/// Dirty because it walks all counters.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_slice<'a>(env: Env<'a>, recorder: Handle<'a, Recorder>) -> NifResult<Term<'a>> {
    Term::map_from_pairs(env, &figures(&recorder.slice()))
}

/// `recorder_window(Recorder) -> map()`: what was recorded since the last call, encoded too; slices go on
/// beside it. Dirty because it walks all counters and compresses.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_window<'a>(env: Env<'a>, recorder: Handle<'a, Recorder>) -> NifResult<Term<'a>> {
    snapshot_term(env, &recorder.window())
}

/// `recorder_take(Recorder) -> binary()`: what was recorded since the last call, for `recorder_add`. Dirty
/// because it walks all counters.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_take<'a>(env: Env<'a>, recorder: Handle<'a, Recorder>) -> NifResult<Term<'a>> {
    let bytes = recorder.take().to_bytes();
    let mut binary = NewBinary::new(env, bytes.len());
    binary.copy_from_slice(&bytes);
    Ok(binary.into())
}

/// `recorder_add(Recorder, [Taken]) -> ok`: all of them, or none where one is damaged. Dirty because it may
/// touch all counters.
#[rustler::nif(schedule = "DirtyCpu")]
fn recorder_add<'a>(recorder: Handle<'a, Recorder>, List(taken): List<'a>) -> NifResult<Atom> {
    let decode = |term: Term<'a>| {
        let bytes: Binary<'a> = term.decode()?;
        Taken::from_bytes(&bytes).map_err(|_| Error::BadArg)
    };
    let decoded = taken.into_iter().map(decode).collect::<NifResult<Vec<_>>>()?;
    decoded.iter().for_each(|taken| recorder.add(taken));
    Ok(atoms::ok())
}

/// `dispatch_new(WorkersMax, ResponseTime, ServiceTime, DispatchLag) -> Dispatch`. Dirty because it
/// allocates 128 bytes for each worker.
#[rustler::nif(schedule = "DirtyCpu")]
fn dispatch_new<'a>(
    workers_max: u32,
    response_time: Handle<'a, Recorder>,
    service_time: Handle<'a, Recorder>,
    dispatch_lag: Handle<'a, Recorder>,
) -> NifResult<Handle<'static, Dispatch>> {
    let (workers_max, recorders) =
        open_loop(workers_max, [response_time, service_time, dispatch_lag])?;
    Ok(Handle::new(Dispatch::new(workers_max, recorders)))
}

/// What an open loop is made of.
fn open_loop(
    workers_max: u32,
    [response_time, service_time, dispatch_lag]: [Handle<'_, Recorder>; 3],
) -> NifResult<(usize, Recorders)> {
    let recorders = Recorders {
        response_time: response_time.share(),
        service_time: service_time.share(),
        dispatch_lag: dispatch_lag.share(),
    };
    match workers_max {
        1..=100_000 => Ok((workers_max as usize, recorders)),
        _ => Err(Error::BadArg),
    }
}

/// `dispatch_in_windows(WorkersMax, ResponseTime, ServiceTime, DispatchLag, {WindowNs, Count}) -> Dispatch`.
/// Dirty because it allocates 216 KiB for each window.
#[rustler::nif(schedule = "DirtyCpu")]
fn dispatch_in_windows<'a>(
    workers_max: u32,
    response_time: Handle<'a, Recorder>,
    service_time: Handle<'a, Recorder>,
    dispatch_lag: Handle<'a, Recorder>,
    (window_ns, count): (u64, u32),
) -> NifResult<Handle<'static, Dispatch>> {
    let (workers_max, recorders) =
        open_loop(workers_max, [response_time, service_time, dispatch_lag])?;
    match (window_ns, count) {
        (1.., 1..=1000) => {
            let dispatch = Dispatch::in_windows(workers_max, recorders, window_ns, count as usize);
            Ok(Handle::new(dispatch))
        }
        _ => Err(Error::BadArg),
    }
}

/// `dispatch_windows(Dispatch) -> [map()]`, empty where there are none. Dirty because it walks all counters.
#[rustler::nif(schedule = "DirtyCpu")]
fn dispatch_windows<'a>(env: Env<'a>, dispatch: Handle<'a, Dispatch>) -> NifResult<Vec<Term<'a>>> {
    let windows = dispatch.windows().unwrap_or_default();
    let term = |WindowFigures { offered, ok, p95_ns }: WindowFigures| {
        let p95_ns = p95_ns.map(|ns| (atoms::p95_ns(), ns));
        let pairs: Vec<_> =
            [(atoms::offered(), offered), (atoms::ok(), ok)].into_iter().chain(p95_ns).collect();
        Term::map_from_pairs(env, &pairs)
    };
    windows.into_iter().map(term).collect()
}

/// `dispatch_begin(Dispatch, {Kind, Seed, StartNs, Rate, {Share, Of}}, Arrivals) -> Waker`: sends `wake`
/// to the caller. Dirty because it starts a thread.
#[rustler::nif(schedule = "DirtyIo")]
fn dispatch_begin<'a>(
    env: Env<'a>,
    dispatch: Handle<'a, Dispatch>,
    (kind, seed, start_ns, rate_per_second, (number, of)): (Atom, u64, u64, u64, (u32, u32)),
    arrivals: u32,
) -> NifResult<Term<'a>> {
    let spacing = match kind {
        kind if kind == atoms::constant() => Arrivals::Constant,
        kind if kind == atoms::poisson() => Arrivals::poisson(seed),
        _ => return Err(Error::BadArg),
    };
    let share = Share { number, of };
    let schedule =
        Schedule::new(spacing, start_ns, rate_per_second, share).map_err(|_| Error::BadArg)?;
    let sleeper = dispatch.begin(schedule.clone(), arrivals.into());
    let dispatcher = env.pid();
    let mut message = OwnedEnv::new();
    let wake = move || message.send_and_clear(&dispatcher, |_| atoms::wake()).is_ok();
    let handle = WakerHandle::start(schedule, arrivals.into(), sleeper, wake)
        .map_err(|error| Error::RaiseTerm(Box::new(error.to_string())))?;
    // The thread ends with its owner, or with its last term.
    Handle::new(handle).owned(env)
}

/// `dispatch_end(Waker) -> ok`. Normal scheduler: one store; the thread ends within some 20 ms.
#[rustler::nif]
fn dispatch_end(waker: Handle<'_, WakerHandle>) -> Atom {
    waker.stop();
    atoms::ok()
}

/// `dispatch_counts(Dispatch) -> map()`. Dirty because it walks the workers' places.
#[rustler::nif(schedule = "DirtyCpu")]
fn dispatch_counts<'a>(env: Env<'a>, dispatch: Handle<'a, Dispatch>) -> NifResult<Term<'a>> {
    let counts = dispatch.counts();
    let pairs = [
        (atoms::offered(), counts.offered),
        (atoms::skipped(), counts.skipped),
        (atoms::error(), counts.error),
        (atoms::timeout(), counts.timeout),
        (atoms::rejected(), counts.rejected),
        (atoms::in_flight(), counts.in_flight),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// `hiccup_start(Recorder) -> Hiccup`. Dirty because it starts a thread.
#[rustler::nif(schedule = "DirtyIo")]
fn hiccup_start<'a>(env: Env<'a>, recorder: Handle<'a, Recorder>) -> NifResult<Term<'a>> {
    let handle = HiccupHandle::start(recorder.share())
        .map_err(|error| Error::RaiseTerm(Box::new(error.to_string())))?;
    // The thread ends with its owner, or with its last term.
    Handle::new(handle).owned(env)
}

/// `hiccup_stop(Hiccup) -> ok`. Dirty because it waits for the thread's end, some 1 ms.
#[rustler::nif(schedule = "DirtyIo")]
fn hiccup_stop(hiccup: Handle<'_, HiccupHandle>) -> Atom {
    hiccup.finish();
    atoms::ok()
}

/// `kernels() -> #{cpu_ns, memory_ns}`. Dirty because it computes for some 0.1 s.
#[rustler::nif(schedule = "DirtyCpu")]
fn kernels(env: Env<'_>) -> NifResult<Term<'_>> {
    let times = KernelTimes::measure();
    let pairs = [(atoms::cpu_ns(), times.cpu_ns), (atoms::memory_ns(), times.memory_ns)];
    Term::map_from_pairs(env, &pairs)
}

/// `report_encode(map()) -> {ok, Json} | {error, Message}`. Dirty because a report is long.
#[rustler::nif(schedule = "DirtyCpu")]
fn report_encode<'a>(env: Env<'a>, report: Term<'a>) -> NifResult<Term<'a>> {
    let value = value_of(report).filter(|value| value.is_object()).ok_or(Error::BadArg)?;
    Ok(answer(env, encode(&value)))
}

/// `report_summary([Block]) -> {ok, map()} | {error, Message}`: what follows from blocks as measured, by
/// the gate's own functions. Dirty because blocks are long.
#[rustler::nif(schedule = "DirtyCpu")]
fn report_summary<'a>(env: Env<'a>, blocks: Term<'a>) -> NifResult<Term<'a>> {
    let value = value_of(blocks).filter(serde_json::Value::is_array).ok_or(Error::BadArg)?;
    Ok(match summary(&value) {
        Ok(summary) => (atoms::ok(), term_of(env, &summary, Keys::Atoms)).encode(env),
        Err(message) => (atoms::error(), message).encode(env),
    })
}

fn summary(blocks: &serde_json::Value) -> Result<serde_json::Value, String> {
    let Measured(blocks) = parse(Path::new("just measured"), blocks.to_string().as_bytes())
        .map_err(|error| error.to_string())?;
    let summary = Summary::of(&blocks).ok_or("the requests of all blocks are beyond 64 bits")?;
    serde_json::to_value(summary).map_err(|error| error.to_string())
}

/// `report_write(Path, map()) -> ok | {error, Message}`. Dirty because it writes a file.
#[rustler::nif(schedule = "DirtyIo")]
fn report_write<'a>(env: Env<'a>, path: &str, report: Term<'a>) -> NifResult<Term<'a>> {
    let value = value_of(report).filter(|value| value.is_object()).ok_or(Error::BadArg)?;
    let written = encode(&value).and_then(|json| {
        let result = write_atomically(Path::new(path), json.as_bytes());
        result.map_err(|error| error.to_string())
    });
    Ok(match written {
        Ok(()) => atoms::ok().encode(env),
        Err(message) => (atoms::error(), message).encode(env),
    })
}

/// Through the same strict reader that the gate uses: what it would refuse is never written.
fn encode(value: &serde_json::Value) -> Result<String, String> {
    let report: Report = parse(Path::new("about to be written"), value.to_string().as_bytes())
        .map_err(|error| error.to_string())?;
    to_json(&report).map_err(|error| error.to_string())
}

/// `request_decode(Json) -> {ok, Request} | {error, Message}`: what the gate asks, through its own
/// strict reader. Dirty because it may be long.
#[rustler::nif(schedule = "DirtyCpu")]
fn request_decode<'a>(env: Env<'a>, json: rustler::Binary<'a>) -> Term<'a> {
    let request = parse::<Request>(Path::new("from the gate"), json.as_slice())
        .map_err(|error| error.to_string())
        .and_then(|request| serde_json::to_value(request).map_err(|error| error.to_string()));
    match request {
        Ok(value) => (atoms::ok(), term_of(env, &value, Keys::Binaries)).encode(env),
        Err(message) => (atoms::error(), message).encode(env),
    }
}

/// `event_encode(Event) -> {ok, Json} | {error, Message}`: what the bench answers. Dirty because it may
/// be long.
#[rustler::nif(schedule = "DirtyCpu")]
fn event_encode<'a>(env: Env<'a>, event: Term<'a>) -> NifResult<Term<'a>> {
    let value = value_of(event).ok_or(Error::BadArg)?;
    let event = parse::<Event>(Path::new("to the gate"), value.to_string().as_bytes())
        .map_err(|error| error.to_string());
    let json = event.and_then(|event| to_json(&event).map_err(|error| error.to_string()));
    Ok(answer(env, json))
}

fn answer(env: Env<'_>, result: Result<String, String>) -> Term<'_> {
    match result {
        Ok(text) => (atoms::ok(), text).encode(env),
        Err(message) => (atoms::error(), message).encode(env),
    }
}

/// `os_now() -> Ns`. Normal scheduler: one clock reading.
#[rustler::nif]
fn os_now() -> u64 {
    os_now_ns()
}

/// `info() -> map()`: versions and the clock. Dirty because it reads the clock thousands of times.
#[rustler::nif(schedule = "DirtyCpu")]
fn info(env: Env<'_>) -> NifResult<Term<'_>> {
    let clock = ClockInfo::measure();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    Term::map_from_pairs(
        env,
        &[
            (atoms::version(), env!("CARGO_PKG_VERSION").encode(env)),
            (atoms::profile(), profile.encode(env)),
            (atoms::source(), clock.source.encode(env)),
            (atoms::resolution_ns(), clock.resolution_ns.encode(env)),
            (atoms::read_cost_ns(), clock.read_cost_ns.encode(env)),
        ],
    )
}
