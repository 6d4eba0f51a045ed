%% @doc Measures RabbitMQ, 3.10 to 4.0, inside its own BEAM: a topic exchange with ten bindings to bounded queues. The
%% option `mode': `publish' (the default) hands a message to its queue under credit flow, `route' only asks where to.
-module(rabbitmq_adapter).
-behaviour(router_bench_adapter).
-export([init/1, request/2, route/2, handle_info/2, counters/1, control/2, processes/1, terminate/1, detach/1]).

-define(NUMBERS, lists:seq(0, 9)).
-define(USER, <<"perf_gate">>).
-define(ERRORS, 1).
-define(BLOCKS, 2).
-define(BLOCKED_MAX_MS, 5000).

%% @doc Boots a broker with no port of AMQP and a directory of its own, or takes the one that runs (`attached').
-spec init(router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
init(#{keys := Keys} = Options) ->
    case {maps:get(<<"mode">>, Options, <<"publish">>), code:which(rabbit), code:which(mc_amqpl)} of
        {_, non_existing, _} -> {error, "no RabbitMQ: ERL_LIBS must name its directory of plugins"};
        {Mode, _, Containers} when Mode =:= <<"publish">>; Mode =:= <<"route">> ->
            Up = case Options of #{attached := true} -> #{}; #{} -> boot(router_bench_scratch:new()) end,
            {ok, Up#{mode => Mode, exchange => declare(), keys => Keys, counts => atomics:new(2, []),
                     is_old => Containers =:= non_existing, body => binary:copy(<<"0123456789abcdef">>, 16)}};
        {Mode, _, _} -> {error, {unknown_mode, Mode, "publish or route"}}
    end.

boot({ok, Directory, Scratch}) ->
    Node = "perf_gate_" ++ os:getpid() ++ "@localhost",
    Env = [{"NODENAME", Node}, {"CONF_ENV_FILE", "/dev/null"}, {"LOG", "warning"}
           | [{Name, filename:join(Directory, Name)} || Name <- ["MNESIA_BASE", "LOG_BASE", "CONFIG_FILE",
                                                                 "ADVANCED_CONFIG_FILE", "ENABLED_PLUGINS_FILE"]]],
    _ = [os:putenv("RABBITMQ_" ++ Name, Value) || {Name, Value} <- Env],
    ok = application:load(rabbit),
    ok = application:set_env([{rabbit, [{tcp_listeners, []}]}, {kernel, [{inet_dist_use_interface, {127, 0, 0, 1}}]}]),
    % A node that has no name when the broker boots would get a port of distribution that is always the same.
    ok = rabbit_nodes_common:ensure_epmd(),
    {ok, _} = net_kernel:start(list_to_atom(Node), #{name_domain => shortnames}),
    {_, true} = {rabbit:boot(), rabbit:is_running()},
    #{scratch => Scratch}.

exchange() -> rabbit_misc:r(<<"/">>, exchange, <<"perf_gate">>).
queue(I) -> rabbit_misc:r(<<"/">>, queue, key(I)).
key(I) -> <<"perf.", (integer_to_binary(I))/binary, ".gate">>.

declare() ->
    _ = rabbit_exchange:declare(exchange(), topic, false, false, false, [], ?USER),
    _ = [{rabbit_amqqueue:declare(queue(I), false, false, [{<<"x-max-length">>, long, 1000}], none, ?USER),
          ok = rabbit_binding:add({binding, exchange(), key(I), queue(I), []}, ?USER)} || I <- ?NUMBERS],
    element(2, {ok, _} = rabbit_exchange:lookup(exchange())).

%% @doc A message of 256 bytes to one of the ten queues.
-spec request(non_neg_integer(), map()) -> tuple().
request(N, #{keys := Keys} = State) -> message(key(router_bench_keys:key(N, Keys) rem 10), State).

message(Key, #{body := Body, is_old := IsOld}) ->
    Properties = list_to_tuple(['P_basic' | lists:duplicate(14, undefined)]),
    case IsOld of
        true -> % before message containers; the last field of a #delivery{} says that the sender heeds credit
            Message = rabbit_basic:message(exchange(), Key, Properties, Body),
            setelement(7, rabbit_basic:delivery(false, false, Message, undefined), flow);
        false ->
            element(2, {ok, _} = mc_amqpl:message(exchange(), Key, rabbit_basic:build_content(Properties, Body)))
    end.

%% @doc Routes a message and, in the mode `publish', hands it to its queue, and waits while that gives no credit. The
%% broker counts nowhere what its own BEAM publishes and no binding matches.
-spec route(tuple(), map()) -> router_bench_adapter:result().
route(Message, #{exchange := Exchange, mode := Mode, counts := Counts}) ->
    case rabbit_exchange:route(Exchange, Message) of
        [] -> atomics:add(Counts, ?ERRORS, 1), {error, unroutable};
        _ when Mode =:= <<"route">> -> ok;
        Names ->
            {ok, _, _} = deliver([Queue || Name <- Names, {ok, Queue} <- [rabbit_amqqueue:lookup(Name)]], Message),
            _ = is_blocked(0) andalso atomics:add(Counts, ?BLOCKS, 1),
            case credit_flow:blocked() andalso is_blocked(?BLOCKED_MAX_MS) of false -> ok; true -> {error, timeout} end
    end.

deliver(Qs, Delivery) when element(1, Delivery) =:= delivery -> rabbit_queue_type:deliver(Qs, Delivery, stateless);
deliver(Qs, Message) -> rabbit_queue_type:deliver(Qs, Message, #{flow => flow}, stateless).

%% After all credit that has come, of whichever queue, or that comes in time.
is_blocked(WaitMs) ->
    receive {bump_credit, _} = Credit ->
            handled = handle_info(Credit, none),
            is_blocked(case credit_flow:blocked() of true -> WaitMs; false -> 0 end)
    after WaitMs -> credit_flow:blocked()
    end.

%% @doc Credit that comes after the request that used it up.
-spec handle_info(term(), none | map()) -> handled | unexpected.
handle_info({bump_credit, Credit}, _State) -> _ = credit_flow:handle_bump_msg(Credit), handled;
handle_info(_Message, _State) -> unexpected.

%% @doc Unroutable messages; how often a sender was blocked.
-spec counters(map()) -> router_bench_adapter:counters().
counters(#{mode := <<"route">>, counts := Counts}) -> #{errors_total => atomics:get(Counts, ?ERRORS)};
counters(#{counts := Counts}) ->
    #{errors_total => atomics:get(Counts, ?ERRORS), backpressure_active_total => atomics:get(Counts, ?BLOCKS)}.

%% @doc A message that no binding matches; a queue that stands still until its sender is blocked.
-spec control(errors_total | backpressure_active_total, map()) -> term().
control(errors_total, State) -> route(message(<<"nobody">>, State), State);
control(backpressure_active_total, #{mode := <<"route">>}) -> not_offered;
control(backpressure_active_total, State) ->
    {ok, Queue} = rabbit_amqqueue:lookup(queue(0)),
    ok = sys:suspend(amqqueue:get_pid(Queue)),
    {ok, _} = timer:apply_after(500, sys, resume, [amqqueue:get_pid(Queue)]),
    {_, Monitor} = spawn_monitor(fun() -> [route(message(key(0), State), State) || _ <- lists:seq(1, 1000)] end),
    receive {'DOWN', Monitor, process, _, Reason} -> Reason end.

%% @doc The broker lives as long as its supervisor.
-spec processes(map()) -> [atom()].
processes(_State) -> [rabbit_sup].
%% @doc Stops the broker that was booted, and removes its directory.
-spec terminate(map()) -> term().
terminate(#{scratch := Scratch}) -> rabbit:stop(), net_kernel:stop(), router_bench_scratch:remove(Scratch).
%% @doc Takes exchange and queues back.
-spec detach(map()) -> term().
detach(_State) ->
    [rabbit_amqqueue:delete(Q, false, false, ?USER) || I <- ?NUMBERS, {ok, Q} <- [rabbit_amqqueue:lookup(queue(I))]],
    rabbit_exchange:delete(exchange(), false, ?USER).
