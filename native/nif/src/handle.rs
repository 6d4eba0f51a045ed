//! Rust values as Erlang terms.
//!
//! rustler's own resource argument looks its type up in a hash map and takes a reference, two
//! read-modify-writes on a cache line that all schedulers share. A handle compares one pointer: the
//! term that a process passes to a NIF keeps the value alive for the length of the call, so no
//! reference is taken.
//!
//! # Reloading
//!
//! The module may be purged and loaded again; the library stays mapped, so its code, its threads and
//! what is static in it outlive any of that.
//!
//! * Values of before are none of the new types, and are refused with `badarg`. They are freed by their
//!   old type when their last term goes, and threads that they own end then.
//! * A purge waits for no dirty call: it kills whoever is in one, or does not notice, and the runtime frees
//!   each resource type of which nothing is left. A call that then makes a value would write to freed
//!   memory, and its value pass for one of the new type, which may have the same place. So [`keep_types`]
//!   makes one object of each type that is never released: no type is ever freed.
//! * Beside a library that is not purged yet there is no second: the runtime refuses it, as this one has
//!   no upgrade.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use latency_recorder::{Dispatch, HiccupHandle, Recorder, WakerHandle};
use rustler::sys::{
    ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor,
    ErlNifResourceFlags, ErlNifResourceType, ErlNifResourceTypeInit, ErlNifTerm,
    enif_alloc_resource, enif_get_resource, enif_init_resource_type, enif_make_resource,
    enif_monitor_process, enif_release_resource,
};
use rustler::{Decoder, Encoder, Env, Error, NifResult, Term};

use crate::machine::MachineCounters;

/// A type of which handles can be made.
pub(crate) trait Kind: Send + Sync + Sized + 'static {
    /// Name of the resource type.
    const NAME: &'static CStr;
    /// What becomes of a value whose process has ended; cannot panic.
    const OWNER_ENDED: Option<fn(&Self)>;
    /// Where the runtime's resource type is kept; null until [`register`] has run.
    fn resource_type() -> &'static AtomicPtr<ErlNifResourceType>;
}

macro_rules! kind {
    ($type:ty, $name:literal, $owner_ended:expr) => {
        impl Kind for $type {
            const NAME: &'static CStr = $name;
            const OWNER_ENDED: Option<fn(&Self)> = $owner_ended;
            fn resource_type() -> &'static AtomicPtr<ErlNifResourceType> {
                static TYPE: AtomicPtr<ErlNifResourceType> = AtomicPtr::new(ptr::null_mut());
                &TYPE
            }
        }
    };
}

kind!(Recorder, c"router_bench_recorder", None);
kind!(Dispatch, c"router_bench_dispatch", None);
kind!(WakerHandle, c"router_bench_waker", Some(Self::stop));
kind!(HiccupHandle, c"router_bench_hiccup", Some(Self::stop));
kind!(MachineCounters, c"router_bench_counters", None);

/// Registers the resource types; only while the library loads. Whether all are.
pub(crate) fn register(env: Env<'_>) -> bool {
    register_kind::<Recorder>(env)
        && register_kind::<Dispatch>(env)
        && register_kind::<WakerHandle>(env)
        && register_kind::<HiccupHandle>(env)
        && register_kind::<MachineCounters>(env)
}

/// Makes an object of each type that nobody ever releases; only once the library is loaded.
pub(crate) fn keep_types() {
    keep_type::<Recorder>();
    keep_type::<Dispatch>();
    keep_type::<WakerHandle>();
    keep_type::<HiccupHandle>();
    keep_type::<MachineCounters>();
}

fn keep_type<T: Kind>() {
    // SAFETY: the type is registered. What is in the object is never read, as no term refers to it and
    // it is never released.
    unsafe { enif_alloc_resource(type_of::<T>(), size_of::<*const T>()) };
}

fn type_of<T: Kind>() -> *const ErlNifResourceType {
    // Acquire: pairs with the Release in `register_kind`.
    T::resource_type().load(Ordering::Acquire)
}

fn register_kind<T: Kind>(env: Env<'_>) -> bool {
    let init = ErlNifResourceTypeInit {
        dtor: release::<T> as *const ErlNifResourceDtor,
        stop: ptr::null(),
        down: match T::OWNER_ENDED {
            Some(_) => owner_ended::<T> as *const ErlNifResourceDown,
            None => ptr::null(),
        },
        members: 3,
        dyncall: ptr::null(),
    };
    let mut tried = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
    // SAFETY: called from `load` with its environment; name and callbacks live as long as the
    // library, which is never unmapped.
    let resource_type = unsafe {
        enif_init_resource_type(
            env.as_c_arg(),
            T::NAME.as_ptr(),
            &raw const init,
            ErlNifResourceFlags::ERL_NIF_RT_CREATE,
            &raw mut tried,
        )
    };
    if resource_type.is_null() {
        return false;
    }
    // Release: pairs with the Acquire in `type_of`; in fact the runtime orders loading before calls.
    T::resource_type().store(resource_type.cast_mut(), Ordering::Release);
    true
}

/// Runs on whichever scheduler drops the last term: frees memory, nothing else.
unsafe extern "C" fn release<T: Kind>(_env: *mut ErlNifEnv, object: *mut c_void) {
    // SAFETY: `object` was filled by `Handle::encode` with a pointer from `Arc::into_raw`, and the
    // runtime calls this once, when no term refers to it any more.
    drop(unsafe { Arc::from_raw(object.cast::<*const T>().read()) });
}

/// Runs on whichever scheduler sees the process end.
unsafe extern "C" fn owner_ended<T: Kind>(
    _env: *mut ErlNifEnv,
    object: *mut c_void,
    _pid: *const ErlNifPid,
    _monitor: *const ErlNifMonitor,
) {
    // SAFETY: `object` was filled before its monitor was set, and the runtime holds it meanwhile.
    let value: &T = unsafe { &*object.cast::<*const T>().read() };
    if let Some(ended) = T::OWNER_ENDED {
        ended(value);
    }
}

/// Finds the value of a term that is an argument of the running call.
///
/// # Safety
/// `env` and `term` are those of a running NIF call, and the reference is not kept beyond it.
pub(crate) unsafe fn find<'call, T: Kind>(
    env: *mut ErlNifEnv,
    term: ErlNifTerm,
) -> Option<&'call T> {
    let mut object = ptr::null();
    // SAFETY: by this function's contract; the type was registered before any call could be made.
    let found = unsafe { enif_get_resource(env, term, type_of::<T>(), &raw mut object) };
    // SAFETY: an object of this type holds a pointer from `Arc::into_raw`, kept alive by the term.
    (found != 0).then(|| unsafe { &*object.cast::<*const T>().read() })
}

/// A value given to Erlang, or borrowed from a term for the length of a call.
pub(crate) struct Handle<'a, T: Kind>(Arc<T>, PhantomData<&'a T>);

impl<T: Kind> Handle<'_, T> {
    /// Wraps a new value.
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value), PhantomData)
    }

    /// Another owner of the value, for a thread that outlives the call.
    pub(crate) fn share(&self) -> Arc<T> {
        Arc::clone(&self.0)
    }

    /// An object that holds the value; the caller owns a reference to it.
    fn object(&self) -> *mut c_void {
        // SAFETY: the type was registered before any call could be made; the object is sized for the
        // pointer that is written to it before anybody can refer to it.
        unsafe {
            let object = enif_alloc_resource(type_of::<T>(), size_of::<*const T>());
            object.cast::<*const T>().write(Arc::into_raw(self.share()));
            object
        }
    }

    /// The term of a value that knows when the calling process ends.
    pub(crate) fn owned<'a>(&self, env: Env<'a>) -> NifResult<Term<'a>> {
        let object = self.object();
        let caller = env.pid();
        // SAFETY: `env` is the running call's; the object is ours until it is released, and its term
        // has a reference of its own.
        unsafe {
            let monitored =
                enif_monitor_process(env.as_c_arg(), object, caller.as_c_arg(), ptr::null_mut());
            let term = enif_make_resource(env.as_c_arg(), object);
            enif_release_resource(object);
            // A process that was killed meanwhile cannot be watched.
            if monitored == 0 { Ok(Term::new(env, term)) } else { Err(Error::BadArg) }
        }
    }
}

impl<T: Kind> std::ops::Deref for Handle<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Kind> Encoder for Handle<'_, T> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let object = self.object();
        // SAFETY: making the term takes its own reference, so ours is released.
        unsafe {
            let term = enif_make_resource(env.as_c_arg(), object);
            enif_release_resource(object);
            Term::new(env, term)
        }
    }
}

impl<'a, T: Kind> Decoder<'a> for Handle<'a, T> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        // SAFETY: rustler decodes arguments of the running call.
        let value: &T =
            unsafe { find(term.get_env().as_c_arg(), term.as_c_arg()) }.ok_or(Error::BadArg)?;
        // SAFETY: `value` lives in an Arc that `encode` leaked a count of; the term holds it.
        unsafe {
            Arc::increment_strong_count(ptr::from_ref(value));
            Ok(Self(Arc::from_raw(ptr::from_ref(value)), PhantomData))
        }
    }
}
