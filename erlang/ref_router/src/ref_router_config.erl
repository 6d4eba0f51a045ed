%% @doc The configuration: one map, its defaults, its validation.
%%
%% A configuration may be partial. `tenants', `policies' and `providers' each replace the default
%% as a whole; within a policy, a provider, `intake' and `sessions' what is left out has a default.
%% An error says where: a path of keys from the top.
%% @private
-module(ref_router_config).

-export([defaults/0, validate/1]).
-export_type([config/0, tenant/0, policy/0, policy_id/0, provider/0, provider_id/0, sessions/0,
              reason/0]).

-type tenant() :: binary().
-type policy_id() :: atom().
-type provider_id() :: atom().
-type policy() :: #{weights := [{provider_id(), Weight :: pos_integer()}, ...],
                    fallbacks := [provider_id()],
                    rate_per_second := pos_integer(),
                    burst := pos_integer(),
                    sticky_ttl_ms := non_neg_integer()}.
-type provider() :: #{transport := module(), breaker := ref_router_breaker:settings()}.
-type sessions() :: #{max_sessions := non_neg_integer(), sweep_ms := pos_integer()}.
-type config() :: #{tenants := #{tenant() => policy_id()},
                    policies := #{policy_id() => policy()},
                    providers := #{provider_id() => provider()},
                    intake := ref_router_intake:limits(),
                    sessions := sessions()}.
-type path() :: [term()].
-type reason() :: {unknown_key, path()}
                | {missing_key, path()}
                | {invalid_value, path(), Value :: term(), Expected :: term()}.

%% 24 bits each in the word of the intake.
-define(MAX_CALLERS, 16#FFFFFF).
-define(MAX_MS, 86_400_000).

%% @doc Four tenants, three policies, five providers, and limits that a benchmark does not meet
%% unless it asks for that: a bucket gives 10,000,000 tokens a second, backpressure begins at
%% 8,000 callers.
-spec defaults() -> config().
defaults() ->
    Fast = #{rate_per_second => 10_000_000, burst => 10_000_000, sticky_ttl_ms => 60_000},
    #{tenants => #{<<"acme">> => balanced, <<"globex">> => balanced,
                   <<"initech">> => primary, <<"umbrella">> => spread},
      policies =>
          #{balanced => Fast#{weights => [{alpha, 50}, {bravo, 30}, {charlie, 20}],
                              fallbacks => [delta, echo]},
            primary => Fast#{weights => [{bravo, 100}], fallbacks => [charlie, delta, alpha]},
            spread => Fast#{weights => [{alpha, 1}, {bravo, 1}, {charlie, 1}, {delta, 1},
                                        {echo, 1}],
                            fallbacks => [echo, delta, charlie, bravo, alpha]}},
      providers => maps:from_list([{Id, provider()} || Id <- [alpha, bravo, charlie, delta, echo]]),
      intake => intake(),
      sessions => sessions()}.

provider() ->
    #{transport => ref_router_transport_frame,
      breaker => #{minimum_volume => 20, error_threshold_percent => 50, window_ms => 10_000,
                   open_ms => 5_000, half_open_probes => 1}}.

intake() ->
    #{max_in_flight => 10_000, max_queue => 10_000, high_watermark => 8_000,
      low_watermark => 4_000, lease_ms => 60_000}.

sessions() ->
    #{max_sessions => 100_000, sweep_ms => 1_000}.

%% @doc Checks a configuration and completes it with the defaults.
-spec validate(term()) -> {ok, config()} | {error, reason()}.
validate(Config) ->
    try
        Whole = section(Config, top(), []),
        ok = check_references(Whole),
        {ok, Whole}
    catch
        throw:{?MODULE, Reason} -> {error, Reason}
    end.

%% Schema: key => {required | {default, Value}, fun(Value, Path) -> checked value}

top() ->
    Defaults = defaults(),
    #{tenants => {{default, maps:get(tenants, Defaults)},
                  entries(check(binary, fun is_binary/1), check(atom, fun is_atom/1))},
      policies => {{default, maps:get(policies, Defaults)},
                   entries(check(atom, fun is_atom/1), in_section(policy_schema()))},
      providers => {{default, maps:get(providers, Defaults)},
                    entries(check(atom, fun is_atom/1), in_section(provider_schema()))},
      intake => {{default, #{}}, in_section(intake_schema())},
      sessions => {{default, #{}}, in_section(sessions_schema())}}.

policy_schema() ->
    #{weights => {required, fun weights/2},
      fallbacks => {{default, []}, check(distinct_atoms, fun is_distinct_atoms/1)},
      rate_per_second => {{default, 10_000_000}, integer(1, 1_000_000_000)},
      burst => {{default, 10_000_000}, integer(1, 1_000_000_000)},
      sticky_ttl_ms => {{default, 60_000}, integer(0, ?MAX_MS)}}.

provider_schema() ->
    #{transport := Transport, breaker := Breaker} = provider(),
    #{transport => {{default, Transport}, check(transport_module, fun is_transport/1)},
      breaker => {{default, #{}},
                  in_section(with_defaults(Breaker,
                                           #{minimum_volume => integer(1, 8_000),
                                             error_threshold_percent => integer(1, 100),
                                             window_ms => integer(100, ?MAX_MS),
                                             open_ms => integer(1, ?MAX_MS),
                                             half_open_probes => integer(1, 1_000)}))}}.

intake_schema() ->
    with_defaults(intake(), #{max_in_flight => integer(1, ?MAX_CALLERS),
                              max_queue => integer(0, ?MAX_CALLERS),
                              high_watermark => integer(1, 2 * ?MAX_CALLERS),
                              low_watermark => integer(0, 2 * ?MAX_CALLERS),
                              lease_ms => integer(100, ?MAX_MS)}).

sessions_schema() ->
    with_defaults(sessions(), #{max_sessions => integer(0, 100_000_000),
                                sweep_ms => integer(10, ?MAX_MS)}).

with_defaults(Defaults, Checks) ->
    maps:map(fun(Key, Check) -> {{default, maps:get(Key, Defaults)}, Check} end, Checks).

section(Section, Schema, Path) when is_map(Section) ->
    case maps:keys(maps:without(maps:keys(Schema), Section)) of
        [] -> maps:map(fun(Key, Rule) -> value(Key, Rule, Section, [Key | Path]) end, Schema);
        [Unknown | _] -> fail({unknown_key, at([Unknown | Path])})
    end;
section(Other, _Schema, Path) ->
    fail({invalid_value, at(Path), Other, map}).

value(Key, {Presence, Check}, Section, Path) ->
    case {Section, Presence} of
        {#{Key := Value}, _} -> Check(Value, Path);
        {_, {default, Default}} -> Check(Default, Path);
        {_, required} -> fail({missing_key, at(Path)})
    end.

in_section(Schema) ->
    fun(Value, Path) -> section(Value, Schema, Path) end.

entries(CheckKey, CheckValue) ->
    fun(Entries, _Path) when map_size(Entries) =:= 0 -> Entries;
       (Entries, Path) when is_map(Entries) ->
            maps:map(fun(Key, Value) ->
                             Key = CheckKey(Key, [Key | Path]),
                             CheckValue(Value, [Key | Path])
                     end, Entries);
       (Other, Path) -> fail({invalid_value, at(Path), Other, map})
    end.

check(Expected, IsExpected) ->
    fun(Value, Path) ->
            case IsExpected(Value) of
                true -> Value;
                false -> fail({invalid_value, at(Path), Value, Expected})
            end
    end.

integer(Min, Max) ->
    check({integer, Min, Max}, fun(V) -> is_integer(V) andalso V >= Min andalso V =< Max end).

weights([_ | _] = Weights, Path) ->
    Check = integer(1, 1_000_000),
    Ids = [case Entry of
               {Id, Weight} -> _ = Check(Weight, [Id | Path]), Id;
               _ -> fail({invalid_value, at(Path), Entry, {provider, weight}})
           end || Entry <- Weights],
    _ = (check(distinct_atoms, fun is_distinct_atoms/1))(Ids, Path),
    Weights;
weights(Other, Path) ->
    fail({invalid_value, at(Path), Other, nonempty_list}).

is_distinct_atoms(Ids) ->
    is_list(Ids) andalso lists:all(fun is_atom/1, Ids)
        andalso length(lists:usort(Ids)) =:= length(Ids).

is_transport(Module) ->
    is_atom(Module) andalso code:ensure_loaded(Module) =:= {module, Module}
        andalso erlang:function_exported(Module, deliver, 2).

check_references(#{tenants := Tenants, policies := Policies, providers := Providers,
                   intake := Intake}) ->
    ok = maps:foreach(fun(Tenant, Id) -> member([Tenant, tenants], policy, Id, Policies) end,
                      Tenants),
    ok = maps:foreach(
           fun(Id, #{weights := Weights, fallbacks := Fallbacks}) ->
                   _ = [member([weights, Id, policies], provider, P, Providers)
                        || {P, _Weight} <- Weights],
                   _ = [member([fallbacks, Id, policies], provider, P, Providers)
                        || P <- Fallbacks]
           end, Policies),
    check_watermarks(Intake).

member(Path, Kind, Id, Known) ->
    maps:is_key(Id, Known) orelse fail({invalid_value, at(Path), Id, {known, Kind}}).

check_watermarks(#{max_in_flight := MaxInFlight, max_queue := MaxQueue,
                   high_watermark := High, low_watermark := Low}) ->
    High =< MaxInFlight + MaxQueue
        orelse fail({invalid_value, [intake, high_watermark], High,
                     {at_most, MaxInFlight + MaxQueue}}),
    Low < High orelse fail({invalid_value, [intake, low_watermark], Low, {below, High}}),
    ok.

at(ReversedPath) ->
    lists:reverse(ReversedPath).

-spec fail(reason()) -> no_return().
fail(Reason) ->
    throw({?MODULE, Reason}).
