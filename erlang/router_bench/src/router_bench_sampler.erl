%% @doc Samples the VM's memory and the router's counters at a fixed cadence, from inside the VM.
%%
%% A process of high priority, so that load does not starve it; it keeps its samples to itself until
%% it is stopped. Linked to its owner.
-module(router_bench_sampler).

-export([start_link/3, stop/1]).

-export_type([sample/0]).

%% Time from the sampler's start, in milliseconds; bytes of `erlang:memory(total)'; what the adapter
%% said.
-type sample() :: {TimeMs :: non_neg_integer(), Bytes :: pos_integer(),
                   router_bench_adapter:counters()}.

%% A sample waits for every scheduler, and so for the load. 5 s is a stall, not a load.
-define(STOP_TIMEOUT_MS, 5000).

%% @doc Starts sampling, with a first sample at once.
-spec start_link(module(), router_bench_adapter:state(), IntervalMs :: pos_integer()) -> pid().
start_link(Adapter, State, IntervalMs) ->
    Owner = self(),
    Options = [link, {priority, high}, {min_heap_size, 16384}],
    Sampler = spawn_opt(fun() -> init(Owner, Adapter, State, IntervalMs) end, Options),
    receive
        {Sampler, started} -> Sampler;
        {'EXIT', Sampler, Reason} -> exit({sampler_died, Reason})
    end.

%% @doc Takes a last sample, stops, and gives all samples in order of time.
-spec stop(pid()) -> [sample()].
stop(Sampler) ->
    Sampler ! {stop, self()},
    receive
        {Sampler, samples, Samples} -> Samples;
        {'EXIT', Sampler, Reason} -> exit({sampler_died, Reason})
    after ?STOP_TIMEOUT_MS -> exit({sampler_died, no_answer})
    end.

init(Owner, Adapter, State, IntervalMs) ->
    StartMs = erlang:monotonic_time(millisecond),
    Sample = fun() ->
                     {erlang:monotonic_time(millisecond) - StartMs, erlang:memory(total),
                      Adapter:counters(State)}
             end,
    First = Sample(),
    Owner ! {self(), started},
    loop(Owner, Sample, IntervalMs, StartMs + IntervalMs, [First]).

loop(Owner, Sample, IntervalMs, NextMs, Samples) ->
    Timer = erlang:start_timer(NextMs, self(), tick, [{abs, true}]),
    receive
        {timeout, Timer, tick} ->
            Taken = Sample(),
            % A tick that came too late is left out, not made up for in a burst.
            Following = max(NextMs + IntervalMs, erlang:monotonic_time(millisecond)),
            loop(Owner, Sample, IntervalMs, Following, [Taken | Samples]);
        {stop, Owner} ->
            _ = erlang:cancel_timer(Timer),
            Owner ! {self(), samples, lists:reverse([Sample() | Samples])},
            ok
    end.
