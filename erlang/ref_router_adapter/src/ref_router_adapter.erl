%% @doc Measures the reference router: requests of four tenants, a session for each key.
%%
%% Adapter options say how requests reach it: `transport' is `local' (in this BEAM, the default), `nats' or
%% `nats-tls', through the server that `scripts/nats.sh' started, there and back. `nats_dir' is where that
%% is kept (`_build/nats/plain' or `_build/nats/tls' under the project), `nats_max_in_flight' (1024) how many
%% requests may be under way, of all drivers together, and `nats_timeout_ms' (5000) how long one is waited for.
-module(ref_router_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).
-export([processes/1, faults/0, control/2, transport/1, detach/1, outage/1]).
-export([connect/2, connection_counters/1, disconnect/1, serve/1]).

%% Callers at which backpressure begins while it is planted as a fault: few, so that reaching them
%% is quick.
-define(PLANTED_WATERMARK, 256).
%% For an answer from another node.
-define(SERVED_MS, 5000).
%% @doc Starts the router with its default configuration.
-spec init(router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
init(Options) ->
    Fault = maps:get(fault, Options, none),
    case started(Options) of
        {ok, _Started} ->
            case configure(Fault) of
                ok -> reachable(bus(Options), Options, Fault);
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

reachable({ok, Bus}, Options, Fault) ->
    Planted = router_bench_fault:plant(Fault, actions()),
    IsDriven = is_map_key(drivers, Options),
    % What drivers in other nodes have served here.
    _ = [persistent_term:put(?MODULE, Planted) || IsDriven],
    % Of a router that is watched nothing is asked.
    Keys = maps:get(keys, Options, none),
    {ok, #{planted => Planted, keys => Keys, body => body(), bus => Bus, driven => IsDriven}};
reachable({error, Reason}, #{attached := true}, _Fault) ->
    {error, Reason};
reachable({error, Reason}, _Options, _Fault) ->
    _ = application:stop(ref_router),
    {error, Reason}.

body() ->
    binary:copy(<<"0123456789abcdef">>, 32).

bus(Options) ->
    case transported(Options) of
        local -> {ok, local};
        {nats, Nats} -> ref_router_nats:start(Nats);
        {error, Reason} -> {error, Reason}
    end.

transported(Options) ->
    case option(transport, Options, <<"local">>) of
        <<"local">> -> local;
        <<"nats">> -> {nats, nats(Options, false, "_build/nats/plain")};
        <<"nats-tls">> -> {nats, nats(Options, true, "_build/nats/tls")};
        Other -> {error, {unknown_transport, Other, expected, ['local', 'nats', 'nats-tls']}}
    end.

%% Who is driven plants its fault where it serves, and its drivers share the permits.
nats(Options, Tls, Dir) ->
    MaxInFlight = option(nats_max_in_flight, Options, 1024),
    {Route, Permits} = case Options of
                           #{drivers := Drivers} -> {fun ?MODULE:serve/1, (MaxInFlight + Drivers - 1) div Drivers};
                           #{} -> {fun ref_router:route/1, MaxInFlight}
                       end,
    #{dir => option(nats_dir, Options, Dir), tls => Tls, instance => maps:get(instance, Options),
      max_in_flight => Permits, timeout_ms => option(nats_timeout_ms, Options, 5000),
      workers => max(2, erlang:system_info(schedulers_online)), route => Route}.

%% A name that comes from a file or a variable is a binary.
option(Name, Options, Default) ->
    maps:get(atom_to_binary(Name), Options, maps:get(Name, Options, Default)).

%% In a node that ran already it runs, or there is nothing to measure.
started(#{attached := true}) ->
    case whereis(ref_router_sup) of
        undefined -> {error, {not_started, ref_router}};
        _ -> {ok, []}
    end;
started(_Options) ->
    application:ensure_all_started(ref_router).

configure({backpressure, _}) ->
    ref_router:configure(#{intake => #{high_watermark => ?PLANTED_WATERMARK,
                                       low_watermark => ?PLANTED_WATERMARK div 2}});
configure(_Fault) ->
    ok.

actions() ->
    #{backpressure => fun() ->
                              Held = ref_router_intake:hold(?PLANTED_WATERMARK),
                              ref_router_intake:release(Held)
                      end,
      crash => fun() -> exit(whereis(ref_router_sup), kill) end}.

%% @doc A message of one of the tenants in a session drawn from the run's keys, with a body of half a
%% kilobyte.
-spec request(non_neg_integer(), map()) -> ref_router:message().
request(N, #{keys := Keys, body := Body}) ->
    #{tenant => tenant(N band 3),
      session => integer_to_binary(router_bench_keys:key(N, Keys)),
      payload => #{number => N, body => Body}}.

tenant(0) -> <<"acme">>;
tenant(1) -> <<"globex">>;
tenant(2) -> <<"initech">>;
tenant(3) -> <<"umbrella">>.

%% @doc Routes a message, through the planted fault if there is one.
-spec route(ref_router:message(), map()) -> router_bench_adapter:result().
route(Message, #{planted := Planted, bus := Bus}) ->
    router_bench_fault:route(Planted, fun() -> ask(Bus, Message) end).

%% A session has a router of its own.
ask({routers, Routers}, #{session := Session} = Message) ->
    ask(element(1 + erlang:phash2(Session, tuple_size(Routers)), Routers), Message);
ask({node, Node}, Message) -> erpc:call(Node, ?MODULE, serve, [Message], ?SERVED_MS);
ask(local, Message) -> ref_router:route(Message);
ask(Bus, Message) -> ref_router_nats:ask(Bus, Message).

%% @doc Reaches routers in other nodes, through distributed Erlang or their NATS server.
-spec connect([node(), ...], router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
connect(Nodes, Options) ->
    Reached = case transported(Options) of
                  local -> {ok, [{node, Node} || Node <- Nodes]};
                  {nats, Nats} -> ref_router_nats:reach(Nodes, Nats);
                  {error, Reason} -> {error, Reason}
              end,
    case Reached of
        {ok, Routers} ->
            {ok, #{planted => router_bench_fault:plant(none, #{}), keys => maps:get(keys, Options),
                   body => body(), bus => {routers, list_to_tuple(Routers)}}};
        {error, Why} ->
            {error, Why}
    end.

%% @doc Of the connection to the server, which all routers share: what it lost is an error, as beside a router.
-spec connection_counters(map()) -> router_bench_adapter:counters().
connection_counters(#{bus := {routers, Routers}}) ->
    case element(1, Routers) of
        {node, _} -> #{};
        Bus -> with_bus(Bus, #{errors_total => 0, backpressure_active_total => 0, backpressure_active => false})
    end.

%% @doc Ends the connection to the server. A node that drives is left by its connections.
-spec disconnect(map()) -> ok.
disconnect(#{bus := {routers, Routers}}) ->
    case tuple_to_list(Routers) of
        [{node, _} | _] -> ok;
        Buses -> ref_router_nats:leave(Buses)
    end.

%% @doc Routes a message of a driver in another node, through the planted fault if there is one.
-spec serve(ref_router:message()) -> router_bench_adapter:result().
serve(Message) ->
    router_bench_fault:route(persistent_term:get(?MODULE), fun() -> ref_router:route(Message) end).

%% @doc The router's own counters and those of its bus, and whether backpressure is active in either. A
%% request that timed out is an error here; the router knows of none that the bus lost.
-spec counters(map()) -> router_bench_adapter:counters().
counters(#{bus := Bus}) ->
    Router = (maps:with([errors_total, backpressure_active_total], ref_router:counters()))
        #{backpressure_active => ref_router_intake:is_backpressure_active()},
    with_bus(Bus, Router).

with_bus(local, Router) ->
    Router;
with_bus(Bus, #{errors_total := Errors, backpressure_active_total := Edges,
                backpressure_active := Active}) ->
    #{errors := BusErrors, timeouts := Timeouts, backpressure_active_total := BusEdges,
      backpressure_active := BusActive} = ref_router_nats:counters(Bus),
    #{errors_total => Errors + BusErrors + Timeouts, backpressure_active_total => Edges + BusEdges,
      backpressure_active => Active orelse BusActive}.

%% @doc Stops the router, and first its bus.
-spec terminate(map()) -> ok | {error, term()}.
terminate(#{bus := local}) ->
    application:stop(ref_router);
terminate(#{bus := _Bus}) ->
    ok = ref_router_nats:stop(),
    application:stop(ref_router).

%% @doc Stops the bus of a router that goes on.
-spec detach(map()) -> ok.
detach(_State) ->
    _ = persistent_term:erase(?MODULE),
    _ = [ref_router_nats:stop() || whereis(ref_router_nats) =/= undefined],
    ok.

%% @doc What carries requests to the router.
-spec transport(map()) -> #{name := binary(), server => binary(),
                            tls_version => binary(), tls_cipher => binary()}.
transport(#{driven := true, bus := local}) -> #{name => <<"distribution">>};
transport(#{bus := local}) -> #{name => <<"local">>};
transport(#{bus := Bus}) -> ref_router_nats:transport(Bus).

%% @doc The router lives as long as its supervisor. The others start again when they crash, but they
%% have no reason to while they are measured; their mailboxes are watched.
-spec processes(map()) -> [atom()].
processes(#{bus := local}) ->
    [ref_router_sup, ref_router_owner, ref_router_queue, ref_router_janitor];
processes(#{bus := _Bus}) ->
    [ref_router_nats | processes(#{bus => local})].

%% @doc All faults can be planted here.
-spec faults() -> [router_bench_fault:name()].
faults() ->
    [delay_us, stall_ms, error_ratio, hold_bytes, leak_bytes, backpressure, crash_after].

%% @doc The router is gone: of one in this BEAM every slot of the intake is taken and the queue before it
%% stands still, of one behind a bus the server does not run. Either way what comes meanwhile waits, until
%% there is no more room for it.
-spec outage(map()) -> router_bench_adapter:outage().
outage(#{bus := local}) ->
    case whereis(ref_router_queue) of
        undefined ->
            not_offered;
        Queue ->
            % Ends with this process, too.
            true = erlang:suspend_process(Queue),
            Held = hold_all(0),
            {ended_by, fun() ->
                               true = erlang:resume_process(Queue),
                               ref_router_intake:release(Held)
                       end}
    end;
outage(#{bus := Bus}) ->
    ref_router_nats:outage(Bus).

%% Whoever is in flight leaves, and its slot is taken before the next one has it, sooner or later.
hold_all(Held) ->
    #{intake := #{max_in_flight := Slots}} = ref_router_config:defaults(),
    case ref_router_intake:hold(Slots - Held) of
        _ when Held =:= Slots -> Held;
        0 -> erlang:yield(), hold_all(Held);
        More -> hold_all(Held + More)
    end.

%% @doc A tenant that nobody knows is an error; as many callers as the high watermark are
%% backpressure.
-spec control(errors_total | backpressure_active_total, map()) -> term().
control(errors_total, #{bus := Bus}) ->
    ask(Bus, #{tenant => <<"nobody">>});
control(backpressure_active_total, _State) ->
    #{intake := #{high_watermark := High}} = ref_router_config:defaults(),
    ref_router_intake:release(ref_router_intake:hold(High)).
