%% @doc Which blocks count as disturbed, and why. Pure, and the only place that knows the limits.
%%
%% What was not seen is no reason: a block is never called disturbed for want of evidence.
%% @private
-module(router_bench_disturbed).

-export([reasons/1, rules/0]).

-export_type([reason/0, rule/0]).

-type reason() :: cpu_stolen | other_cpu_load | cpu_throttled | host_stall | vm_stall
                | cpu_speed_changed | memory_speed_changed | clock_drift.
%% A block is disturbed when the figure is above the limit.
-type rule() :: {reason(), Limit :: number(), Unit :: string(), Why :: string(),
                 Figure :: fun((router_bench_evidence:evidence()) -> number() | absent)}.

-define(STALL_MS, 10).

%% @doc Each reason with its limit, the limit's unit, why it is there, and the figure compared.
-spec rules() -> [rule()].
rules() ->
    [{cpu_stolen, 1, "% of the machine's processor time",
      "time that the hypervisor gave to others was missing here; an idle host gives none",
      fun(Evidence) -> at([machine, steal_pct], Evidence) end},
     {other_cpu_load, 10, "% of the machine's processor time",
      "a tenth is beyond daemons, and beyond what the kernel's two ways of booking differ by",
      fun(Evidence) -> at([machine, other_cpu_pct], Evidence) end},
     {cpu_throttled, 0, "periods",
      "each is a stop of every thread for up to a period, usually 100 ms",
      fun(Evidence) -> at([machine, throttled_periods], Evidence) end},
     {host_stall, ?STALL_MS, "ms at p99.9, in both meters",
      "beyond the time slices of a few processes that share a processor",
      fun(Evidence) -> both(fun erlang:min/2, native(Evidence), beam(Evidence)) end},
     {vm_stall, ?STALL_MS, "ms at p99.9, in the BEAM's meter beyond the thread's",
      "schedulers stood still while threads ran; the router's own long calls show here too",
      fun(Evidence) -> both(fun erlang:'-'/2, beam(Evidence), native(Evidence)) end},
     {cpu_speed_changed, 10, "% between before and after",
      "the same arithmetic takes the same time on a processor of constant speed",
      fun(Evidence) -> change_pct(cpu_ns, Evidence) end},
     {memory_speed_changed, 25, "% between before and after",
      "shared caches and memory: other guests show here first; a quiet machine varies by a tenth",
      fun(Evidence) -> change_pct(memory_ns, Evidence) end},
     {clock_drift, 200, "parts per million",
      "ten times what calibration is off by: a clock was adjusted, or the machine moved hosts",
      fun(Evidence) -> at([clock_drift_ppm], Evidence) end}].

%% @doc Why a block counts as disturbed, in the order of the rules; `[]' if it does not.
-spec reasons(router_bench_evidence:evidence()) -> [reason()].
reasons(Evidence) ->
    [Reason || {Reason, Limit, _Unit, _Why, Figure} <- rules(), above(Figure(Evidence), Limit)].

above(absent, _Limit) -> false;
above(Figure, Limit) -> Figure > Limit.

native(Evidence) -> ms(at([hiccups, native, p999_ns], Evidence)).

beam(Evidence) -> ms(at([hiccups, beam, p999_ns], Evidence)).

ms(absent) -> absent;
ms(Ns) -> Ns / 1.0e6.

change_pct(Kernel, Evidence) ->
    both(fun(A, B) -> 100 * abs(A - B) / max(1, min(A, B)) end,
         at([kernels, before, Kernel], Evidence), at([kernels, 'after', Kernel], Evidence)).

both(_Fun, absent, _B) -> absent;
both(_Fun, _A, absent) -> absent;
both(Fun, A, B) -> Fun(A, B).

at([], Value) -> Value;
at([Key | Path], Map) when is_map_key(Key, Map) -> at(Path, maps:get(Key, Map));
at(_Path, _Map) -> absent.
