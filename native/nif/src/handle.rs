//! Rust values as Erlang terms.
//!
//! rustler's own resource argument looks its type up in a hash map and takes a reference, two
//! read-modify-writes on a cache line that all schedulers share. A handle compares one pointer: the
//! term that a process passes to a NIF keeps the value alive for the length of the call, so no
//! reference is taken.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use latency_recorder::{Dispatch, Recorder};
use rustler::sys::{
    ErlNifEnv, ErlNifResourceDtor, ErlNifResourceFlags, ErlNifResourceType, ErlNifResourceTypeInit,
    ErlNifTerm, enif_alloc_resource, enif_get_resource, enif_init_resource_type,
    enif_make_resource, enif_release_resource,
};
use rustler::{Decoder, Encoder, Env, NifResult, Term};

/// A type of which handles can be made.
pub(crate) trait Kind: Send + Sync + Sized + 'static {
    /// Name of the resource type.
    const NAME: &'static CStr;
    /// Where the runtime's resource type is kept; null until [`register`] has run.
    fn resource_type() -> &'static AtomicPtr<ErlNifResourceType>;
}

macro_rules! kind {
    ($type:ty, $name:literal) => {
        impl Kind for $type {
            const NAME: &'static CStr = $name;
            fn resource_type() -> &'static AtomicPtr<ErlNifResourceType> {
                static TYPE: AtomicPtr<ErlNifResourceType> = AtomicPtr::new(ptr::null_mut());
                &TYPE
            }
        }
    };
}

kind!(Recorder, c"router_bench_recorder");
kind!(Dispatch, c"router_bench_dispatch");

/// Registers the resource types; only while the library loads. Whether all are.
pub(crate) fn register(env: Env<'_>) -> bool {
    register_kind::<Recorder>(env) && register_kind::<Dispatch>(env)
}

fn register_kind<T: Kind>(env: Env<'_>) -> bool {
    let init = ErlNifResourceTypeInit {
        dtor: release::<T> as *const ErlNifResourceDtor,
        stop: ptr::null(),
        down: ptr::null(),
        members: 1,
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
    // Release: pairs with the Acquire in `find`; in fact the runtime orders loading before calls.
    T::resource_type().store(resource_type.cast_mut(), Ordering::Release);
    !resource_type.is_null()
}

/// Runs on whichever scheduler drops the last term: frees memory, nothing else.
unsafe extern "C" fn release<T: Kind>(_env: *mut ErlNifEnv, object: *mut c_void) {
    // SAFETY: `object` was filled by `Handle::encode` with a pointer from `Arc::into_raw`, and the
    // runtime calls this once, when no term refers to it any more.
    drop(unsafe { Arc::from_raw(object.cast::<*const T>().read()) });
}

/// Finds the value of a term that is an argument of the running call.
///
/// # Safety
/// `env` and `term` are those of a running NIF call, and the reference is not kept beyond it.
pub(crate) unsafe fn find<'call, T: Kind>(
    env: *mut ErlNifEnv,
    term: ErlNifTerm,
) -> Option<&'call T> {
    let resource_type = T::resource_type().load(Ordering::Acquire);
    let mut object = ptr::null();
    // SAFETY: by this function's contract; the type was registered before any call could be made.
    let found = unsafe { enif_get_resource(env, term, resource_type, &raw mut object) };
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
}

impl<T: Kind> std::ops::Deref for Handle<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Kind> Encoder for Handle<'_, T> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let resource_type = T::resource_type().load(Ordering::Acquire);
        // SAFETY: the object is sized for the pointer that is written to it before any term can
        // refer to it; making the term takes its own reference, so ours is released.
        unsafe {
            let object = enif_alloc_resource(resource_type, size_of::<*const T>());
            object.cast::<*const T>().write(Arc::into_raw(self.share()));
            let term = enif_make_resource(env.as_c_arg(), object);
            enif_release_resource(object);
            Term::new(env, term)
        }
    }
}

impl<'a, T: Kind> Decoder<'a> for Handle<'a, T> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        // SAFETY: rustler decodes arguments of the running call.
        let value: &T = unsafe { find(term.get_env().as_c_arg(), term.as_c_arg()) }
            .ok_or(rustler::Error::BadArg)?;
        // SAFETY: `value` lives in an Arc that `encode` leaked a count of; the term holds it.
        unsafe {
            Arc::increment_strong_count(ptr::from_ref(value));
            Ok(Self(Arc::from_raw(ptr::from_ref(value)), PhantomData))
        }
    }
}
