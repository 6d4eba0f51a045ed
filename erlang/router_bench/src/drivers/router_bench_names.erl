%% @doc Where the routers of a run are that drivers connect to: what an epmd would be asked, told to each BEAM
%% by the conductor. Nothing listens for it, and nobody else finds these nodes.
%%
%% A module for `-epmd_module' (see `erl_epmd').
%% @private
-module(router_bench_names).

-export([tell/1, admit/1, own/0]).
-export([start_link/0, register_node/2, register_node/3, listen_port_please/2, port_please/2, port_please/3,
         address_please/3, names/1]).

-export_type([address/0]).

-type address() :: {inet:ip_address(), inet:port_number()}.

%% Of distributed Erlang since OTP 23.
-define(VERSION, 6).

%% @doc Tells this BEAM where more nodes are, by the part of their names before the `@'.
-spec tell(#{Name :: string() => address()}) -> ok.
tell(Addresses) ->
    persistent_term:put(?MODULE, maps:merge(persistent_term:get(?MODULE, #{}), Addresses)).

%% @doc Who may connect to the node that this BEAM is to become: whoever has this cookie, from the first moment on.
-spec admit(Cookie :: atom()) -> ok.
admit(Cookie) ->
    persistent_term:put({?MODULE, cookie}, Cookie).

%% @doc The port that this node listens on.
-spec own() -> inet:port_number().
own() ->
    persistent_term:get({?MODULE, own}).

%% @private
-spec start_link() -> ignore.
start_link() -> ignore.

%% @private
-spec register_node(atom() | string(), inet:port_number()) -> {ok, Creation :: pos_integer()}.
register_node(Name, Port) -> register_node(Name, Port, inet).

%% @private
-spec register_node(atom() | string(), inet:port_number(), atom()) -> {ok, Creation :: pos_integer()}.
register_node(_Name, Port, _Family) ->
    % The node listens, and takes no connection before this has returned.
    true = erlang:set_cookie(persistent_term:get({?MODULE, cookie})),
    persistent_term:put({?MODULE, own}, Port),
    % Up to 3 are those of an OTP before 23.
    {ok, 3 + rand:uniform(1 bsl 32 - 4)}.

%% @private
-spec listen_port_please(atom() | string(), term()) -> {ok, 0}.
listen_port_please(_Name, _Host) -> {ok, 0}.

%% @private
-spec port_please(atom() | string(), term()) -> {port, inet:port_number(), ?VERSION} | noport.
port_please(Name, Host) -> port_please(Name, Host, infinity).

%% @private
-spec port_please(atom() | string(), term(), timeout()) -> {port, inet:port_number(), ?VERSION} | noport.
port_please(Name, _Host, _Timeout) ->
    case address(Name) of
        {ok, {_Ip, Port}} -> {port, Port, ?VERSION};
        error -> noport
    end.

%% @private
-spec address_please(atom() | string(), term(), atom()) ->
          {ok, inet:ip_address(), inet:port_number(), ?VERSION} | {error, nxdomain}.
address_please(Name, _Host, _Family) ->
    case address(Name) of
        {ok, {Ip, Port}} -> {ok, Ip, Port, ?VERSION};
        error -> {error, nxdomain}
    end.

%% @private
-spec names(term()) -> {error, address}.
names(_Host) -> {error, address}.

address(Name) ->
    maps:find(lists:flatten(io_lib:format("~s", [Name])), persistent_term:get(?MODULE, #{})).
