%% @doc Measures the reference router: requests of four tenants, a session for each key.
-module(ref_router_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).
-export([processes/1, faults/0, control/2]).

%% Callers at which backpressure begins while it is planted as a fault: few, so that reaching them
%% is quick.
-define(PLANTED_WATERMARK, 256).
%% @doc Starts the router with its default configuration.
-spec init(router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
init(Options) ->
    Fault = maps:get(fault, Options, none),
    case application:ensure_all_started(ref_router) of
        {ok, _Started} ->
            case configure(Fault) of
                ok -> {ok, #{planted => router_bench_fault:plant(Fault, actions()),
                             keys => maps:get(keys, Options),
                             body => binary:copy(<<"0123456789abcdef">>, 32)}};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

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
route(Message, #{planted := Planted}) ->
    router_bench_fault:route(Planted, fun() -> ref_router:route(Message) end).

%% @doc The router's own counters, and whether backpressure is active.
-spec counters(map()) -> router_bench_adapter:counters().
counters(_State) ->
    (maps:with([errors_total, backpressure_active_total], ref_router:counters()))
        #{backpressure_active => ref_router_intake:is_backpressure_active()}.

%% @doc Stops the router.
-spec terminate(map()) -> ok | {error, term()}.
terminate(_State) ->
    application:stop(ref_router).

%% @doc The router lives as long as its supervisor. The others start again when they crash, but they
%% have no reason to while they are measured; their mailboxes are watched.
-spec processes(map()) -> [atom()].
processes(_State) ->
    [ref_router_sup, ref_router_owner, ref_router_queue, ref_router_janitor].

%% @doc All faults can be planted here.
-spec faults() -> [router_bench_fault:name()].
faults() ->
    [delay_us, stall_ms, error_ratio, hold_bytes, leak_bytes, backpressure, crash_after].

%% @doc A tenant that nobody knows is an error; as many callers as the high watermark are
%% backpressure.
-spec control(errors_total | backpressure_active_total, map()) -> term().
control(errors_total, _State) ->
    ref_router:route(#{tenant => <<"nobody">>});
control(backpressure_active_total, _State) ->
    #{intake := #{high_watermark := High}} = ref_router_config:defaults(),
    ref_router_intake:release(ref_router_intake:hold(High)).
