%% @doc Counts what the VM reports by itself: garbage collections and schedulings that took long.
%%
%% A VM has one receiver of such events. Where somebody has the place it is left to them, and where somebody
%% takes it later it is theirs: RabbitMQ, for one, looks every second whether it still has it, and says so in
%% its log. Then there are no counts. The VM clears the place when this process ends, in whatever way; it is
%% linked to its owner and traps exits.
%%
%% Long garbage collections are watched only on demand: the VM then reads its clock twice for each
%% collection, which took 3.9 % of the reference router's throughput. `long_schedule' took 0.1 %.
%%
%% An event is counted and dropped. There cannot be many: each stands for at least the threshold of
%% a scheduler's time, so that N schedulers, with the dirty ones, cause at most 50 N a second.
%% @private
-module(router_bench_monitor).

-export([start_link/0, watch_collections/1, stop/1, take/1, give_back/0]).

-export_type([counts/0]).

%% None where somebody else has the place.
-type counts() :: #{long_gc => non_neg_integer(), long_schedule => non_neg_integer()}.

%% Twenty timer ticks: far beyond a healthy time slice (about 1 ms) and beyond any gated percentile.
-define(LONG_MS, 20).
%% Stopping is an answer to one message. 5 s is a VM that stands still.
-define(STOP_TIMEOUT_MS, 5000).

%% @doc Becomes the VM's receiver of events, if there is none.
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

%% @doc Gives the place back, and the events counted.
-spec stop(pid()) -> counts().
stop(Monitor) ->
    Monitor ! {stop, self()},
    receive {Monitor, counted, Counts} -> Counts
    after ?STOP_TIMEOUT_MS -> exit({monitor_died, no_answer})
    end.

init(Owner) ->
    process_flag(trap_exit, true),
    _ = take([{long_schedule, ?LONG_MS}]),
    Owner ! {self(), started},
    loop(Owner, #{long_gc => 0, long_schedule => 0}).

loop(Owner, Counts) ->
    receive
        {monitor, _Who, Event, _Info} when is_map_key(Event, Counts) ->
            #{Event := Count} = Counts,
            loop(Owner, Counts#{Event := Count + 1});
        watch_collections ->
            _ = [erlang:system_monitor(self(), [{long_gc, ?LONG_MS}, {long_schedule, ?LONG_MS}])
                 || is_mine()],
            loop(Owner, Counts);
        {stop, Owner} ->
            Counted = case give_back() of
                          true -> Counts;
                          false -> #{}
                      end,
            Owner ! {self(), counted, Counted},
            ok;
        {'EXIT', Owner, _Reason} ->
            _ = give_back(),
            ok;
        _ ->
            loop(Owner, Counts)
    end.

%% @doc Makes the calling process the receiver of some events, and says whether it is: not where there is one.
-spec take([term()]) -> boolean().
take(Options) ->
    case erlang:system_monitor() of
        undefined ->
            _ = erlang:system_monitor(self(), Options),
            true;
        _ ->
            false
    end.

%% @doc Leaves the place, and says whether the calling process had it.
-spec give_back() -> boolean().
give_back() ->
    case is_mine() of
        true ->
            _ = erlang:system_monitor(undefined),
            true;
        false ->
            false
    end.

is_mine() ->
    case erlang:system_monitor() of
        {Me, _} when Me =:= self() -> true;
        _ -> false
    end.
