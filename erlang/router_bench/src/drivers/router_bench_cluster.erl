%% @doc Makes fresh BEAMs nodes that know each other and that nobody else knows: routers listen on loopback,
%% drivers on nothing, the cookie is the run's own, and no epmd is asked.
%% @private
-module(router_bench_cluster).

-export([new/1, flags/1, router/3, driver/3, introduce/3]).

-export_type([cluster/0, router/0, call/0]).

%% What the nodes of a run have in common.
-type cluster() :: #{cookie := atom()}.
-type router() :: #{node := node(), name := string(), address := router_bench_names:address()}.
%% Calls a function in the BEAM that becomes a node.
-type call() :: fun((module(), atom(), [term()]) -> term()).

-define(HOST, "127.0.0.1").
-define(IP, {127, 0, 0, 1}).
-define(COOKIE_BYTES, 24).

%% @doc That of a run with such drivers; none where the load is in the router's BEAM.
-spec new([router_bench_plan:driver()]) -> none | cluster().
new([]) -> none;
new([_ | _]) -> #{cookie => binary_to_atom(binary:encode_hex(crypto:strong_rand_bytes(?COOKIE_BYTES)))}.

%% @doc What a BEAM is started with that is to become one.
-spec flags(none | cluster()) -> [string()].
flags(none) -> [];
flags(#{}) -> ["-epmd_module", "router_bench_names", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"].

%% @doc Makes a BEAM the node of router number `Number' of an instance.
-spec router(cluster(), {Instance :: pos_integer(), Number :: pos_integer()}, call()) ->
          {ok, router()} | {error, term()}.
router(Cluster, {Instance, Number}, Call) ->
    Name = lists:flatten(io_lib:format("router_~b_~b", [Instance, Number])),
    case started(Name, #{hidden => false}, Cluster, Call) of
        {ok, Node} ->
            {ok, #{node => Node, name => Name, address => {?IP, Call(router_bench_names, own, [])}}};
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc Makes a BEAM the node of driver number `Number'.
-spec driver(cluster(), Number :: pos_integer(), call()) -> {ok, node()} | {error, term()}.
driver(Cluster, Number, Call) ->
    started("driver_" ++ integer_to_list(Number), #{hidden => true, dist_listen => false}, Cluster, Call).

started(Name, Options, #{cookie := Cookie}, Call) ->
    Node = list_to_atom(Name ++ "@" ++ ?HOST),
    case Call(net_kernel, start, [Node, Options#{name_domain => longnames}]) of
        {ok, _} ->
            true = Call(erlang, set_cookie, [Cookie]),
            {ok, Node};
        {error, Reason} ->
            {error, {no_node, Name, Reason}}
    end.

%% @doc Connects a node to routers.
-spec introduce([router()], node(), call()) -> ok | {error, {not_connected, node()}}.
introduce(Routers, Node, Call) ->
    ok = Call(router_bench_names, tell, [maps:from_list([{Name, Address} || #{name := Name, address := Address}
                                                                                 <- Routers])]),
    case [Router || #{node := Router} <- Routers, Router =/= Node, Call(net_kernel, connect_node, [Router]) =/= true] of
        [] -> ok;
        [Router | _] -> {error, {not_connected, Router}}
    end.
