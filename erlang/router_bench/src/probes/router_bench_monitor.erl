%% @doc Counts what the VM reports by itself: garbage collections and schedulings that took long.
%%
%% A VM has one receiver of such events. This process becomes it, and gives the place back to
%% whoever had it before, when it is stopped and also when its owner ends in any way: it is linked
%% and traps exits. Meanwhile the former receiver gets no event. If this process itself is killed,
%% the VM clears the place, and the owner ends with it.
%%
%% Long garbage collections are watched only on demand: the VM then reads its clock twice for each
%% collection, which took 3.9 % of the reference router's throughput. `long_schedule' took 0.1 %.
%%
%% An event is counted and dropped. There cannot be many: each stands for at least the threshold of
%% a scheduler's time, so that N schedulers, with the dirty ones, cause at most 50 N a second.
%% @private
-module(router_bench_monitor).

-export([start_link/0, watch_collections/1, stop/1, restore/1]).

-export_type([counts/0]).

-type counts() :: #{long_gc := non_neg_integer(), long_schedule := non_neg_integer()}.

%% Twenty timer ticks: far beyond a healthy time slice (about 1 ms) and beyond any gated percentile.
-define(LONG_MS, 20).
%% Stopping is an answer to one message. 5 s is a VM that stands still.
-define(STOP_TIMEOUT_MS, 5000).

%% @doc Becomes the VM's receiver of events.
-spec start_link() -> pid().
start_link() ->
    Owner = self(),
    Monitor = spawn_opt(fun() -> init(Owner) end, [link, {priority, high}]),
    receive {Monitor, started} -> Monitor end.

%% @doc Reports long garbage collections too, from now on.
-spec watch_collections(pid()) -> ok.
watch_collections(Monitor) ->
    Monitor ! watch_collections,
    ok.

%% @doc Restores the former receiver, and gives the events counted.
-spec stop(pid()) -> counts().
stop(Monitor) ->
    Monitor ! {stop, self()},
    receive {Monitor, counted, Counts} -> Counts
    after ?STOP_TIMEOUT_MS -> exit({monitor_died, no_answer})
    end.

init(Owner) ->
    process_flag(trap_exit, true),
    Former = erlang:system_monitor(self(), [{long_schedule, ?LONG_MS}]),
    Owner ! {self(), started},
    loop(Owner, Former, #{long_gc => 0, long_schedule => 0}).

loop(Owner, Former, Counts) ->
    receive
        {monitor, _Who, Event, _Info} when is_map_key(Event, Counts) ->
            #{Event := Count} = Counts,
            loop(Owner, Former, Counts#{Event := Count + 1});
        watch_collections ->
            case is_mine() of
                true ->
                    _ = erlang:system_monitor(self(), [{long_gc, ?LONG_MS},
                                                       {long_schedule, ?LONG_MS}]),
                    ok;
                false ->
                    ok
            end,
            loop(Owner, Former, Counts);
        {stop, Owner} ->
            restore(Former),
            Owner ! {self(), counted, Counts},
            ok;
        {'EXIT', Owner, _Reason} ->
            restore(Former);
        _ ->
            loop(Owner, Former, Counts)
    end.

%% @doc Gives the place back to whoever had it before the calling process; who took it from that keeps it.
-spec restore(undefined | {pid() | port(), [term()]}) -> ok.
restore(Former) ->
    case is_mine() of
        true -> set(Former);
        false -> ok
    end.

is_mine() ->
    case erlang:system_monitor() of
        {Me, _} when Me =:= self() -> true;
        _ -> false
    end.

set(undefined) ->
    _ = erlang:system_monitor(undefined),
    ok;
set({Pid, Options}) ->
    try erlang:system_monitor(Pid, Options) of
        _ -> ok
    catch
        error:badarg -> set(undefined) % it has ended meanwhile
    end.
