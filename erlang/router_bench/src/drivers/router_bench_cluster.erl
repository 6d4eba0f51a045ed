%% @doc Makes fresh BEAMs nodes that know each other and that nobody else knows: routers listen on one
%% address, drivers on nothing, the cookie is the run's own, no epmd is asked, and what leaves the machine is
%% encrypted ({@link router_bench_certificates}).
%% @private
-module(router_bench_cluster).

-export([new/1, flags/1, router/3, driver/3, become/5, join/3, introduce/3]).

-export_type([cluster/0, router/0, call/0]).

%% What the nodes of a run have in common.
-type cluster() :: #{cookie := atom(), address := inet:ip4_address(),
                     authority := none | router_bench_certificates:authority()}.
%% One that runs already is found as its cluster finds it.
-type router() :: #{node := node(), name => string(), address => router_bench_names:address()}.
%% Calls a function in the BEAM that becomes a node.
-type call() :: fun((module(), atom(), [term()]) -> term()).

-define(RANDOM_BYTES, 24).
%% A node that says nothing for so long has gone.
-define(TICK_TIME_S, 20).
%% Of the BEAM's machine, whichever that is.
-define(SECRETS, "/tmp/router_bench_tls.").

%% @doc That of a run with drivers.
-spec new(#{distribution := tcp | tls, listen := inet:ip4_address(), _ => _}) -> cluster().
new(#{distribution := Distribution, listen := Address}) ->
    Authority = case Distribution of
                    tcp -> none;
                    tls -> router_bench_certificates:authority()
                end,
    #{cookie => binary_to_atom(random()), address => Address, authority => Authority}.

random() ->
    binary:encode_hex(crypto:strong_rand_bytes(?RANDOM_BYTES)).

%% @doc What a BEAM is started with that is to become one. No cookie of its machine is read nor made. The file is
%% there while it does, and never else. In a cluster that runs already it talks as this VM does.
-spec flags(none | {running, node()} | cluster()) -> [string()].
flags(none) ->
    [];
flags({running, _Router}) ->
    ["-nocookie" | lists:append([["-" ++ atom_to_list(Flag) | Values]
                                 || Flag <- [proto_dist, ssl_dist_optfile, ssl_dist_opt],
                                    {ok, All} <- [init:get_argument(Flag)], Values <- All])];
flags(#{authority := none}) ->
    ["-nocookie", "-epmd_module", "router_bench_names"];
flags(#{}) ->
    File = ?SECRETS ++ binary_to_list(random()) ++ "/options",
    ["-nocookie", "-epmd_module", "router_bench_names", "-proto_dist", "inet_tls", "-ssl_dist_optfile", File].

%% @doc Makes a BEAM the node of router number `Number' of an instance.
-spec router(cluster(), {Instance :: pos_integer(), Number :: pos_integer()}, call()) ->
          {ok, router()} | {error, term()}.
router(#{address := Address} = Cluster, {Instance, Number}, Call) ->
    Name = lists:flatten(io_lib:format("router_~b_~b", [Instance, Number])),
    case started(Name, {router, Address}, #{hidden => false}, Cluster, Call) of
        {ok, Node} ->
            case Call(router_bench_names, own, []) of
                {error, Reason} -> {error, {no_node, Name, Reason}};
                Port -> {ok, #{node => Node, name => Name, address => {Address, Port}}}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc Makes a BEAM the node of driver number `Number'. In a cluster that runs already it has the cookie with which
%% this VM is connected to it.
-spec driver({running, node()} | cluster(), Number :: pos_integer(), call()) -> {ok, node()} | {error, term()}.
driver({running, Router}, Number, Call) ->
    [_, Host] = string:split(atom_to_list(Router), "@"),
    Name = "router_bench_" ++ os:getpid() ++ "_driver_" ++ integer_to_list(Number),
    Node = list_to_atom(Name ++ "@" ++ Host),
    case Call(?MODULE, join, [Node, router_bench_distribution:name_domain(Host), erlang:get_cookie(Router)]) of
        ok -> {ok, Node};
        {error, Reason} -> {error, {no_node, Name, Reason}}
    end;
driver(Cluster, Number, Call) ->
    started("driver_" ++ integer_to_list(Number), driver, #{hidden => true, dist_listen => false}, Cluster, Call).

started(Name, Role, Options, #{cookie := Cookie, address := Address, authority := Authority}, Call) ->
    Node = list_to_atom(Name ++ "@" ++ inet:ntoa(Address)),
    Secrets = case Authority of
                  none -> none;
                  _ -> router_bench_certificates:options(Authority, Role)
              end,
    case Call(?MODULE, become, [Node, Options#{name_domain => longnames}, Cookie, Address, Secrets]) of
        ok -> {ok, Node};
        {error, Reason} -> {error, {no_node, Name, Reason}}
    end.

%% @doc Makes this BEAM a node. Its key is in a directory that only its user may enter, and only until it has
%% been read.
-spec become(node(), map(), Cookie :: atom(), inet:ip4_address(), Secrets :: none | binary()) ->
          ok | {error, term()}.
become(Node, Options, Cookie, Address, Secrets) ->
    ok = application:set_env(kernel, inet_dist_use_interface, Address),
    ok = application:set_env(kernel, net_ticktime, ?TICK_TIME_S),
    ok = router_bench_names:admit(Cookie),
    with_secrets(Secrets, fun() ->
        case net_kernel:start(Node, Options) of
            {ok, _} ->
                true = erlang:set_cookie(Cookie),
                ok;
            {error, Reason} ->
                {error, Reason}
        end
    end).

%% @doc Makes this BEAM a hidden node that listens on nothing and that no epmd knows.
-spec join(node(), longnames | shortnames, Cookie :: atom()) -> ok | {error, term()}.
join(Node, Domain, Cookie) ->
    case net_kernel:start(Node, #{name_domain => Domain, hidden => true, dist_listen => false}) of
        {ok, _} ->
            true = erlang:set_cookie(Cookie),
            ok;
        {error, Reason} ->
            {error, Reason}
    end.

with_secrets(none, Start) ->
    Start();
with_secrets(Secrets, Start) ->
    {ok, [[File]]} = init:get_argument(ssl_dist_optfile),
    Dir = filename:dirname(File),
    case file:make_dir(Dir) of
        ok ->
            try
                ok = file:change_mode(Dir, 8#700),
                ok = file:write_file(File, Secrets),
                ok = file:change_mode(File, 8#600),
                Start()
            after
                _ = file:delete(File),
                file:del_dir(Dir)
            end;
        {error, Reason} ->
            {error, {Reason, Dir}}
    end.

%% @doc Connects a node to routers.
-spec introduce([router()], node(), call()) -> ok | {error, term()}.
introduce(Routers, Node, Call) ->
    Others = [Router || #{node := Router} <- Routers, Router =/= Node],
    case maps:from_list([{Name, Address} || #{name := Name, address := Address} <- Routers]) of
        None when None =:= #{} -> connected(Others, Call);
        Fresh ->
            case Call(router_bench_names, tell, [Fresh]) of
                ok -> connected(Others, Call);
                {error, Reason} -> {error, Reason}
            end
    end.

connected([], _Call) ->
    ok;
connected([Router | Rest], Call) ->
    case Call(net_kernel, connect_node, [Router]) of
        true -> connected(Rest, Call);
        {error, Reason} -> {error, Reason};
        _NotAllowed -> {error, {not_connected, Router}}
    end.
