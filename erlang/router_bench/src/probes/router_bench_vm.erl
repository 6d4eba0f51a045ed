%% @doc Figures of a block's VM, out of what the sampler saw. Pure.
%%
%% A figure whose probe could not be read is left out.
%% @private
-module(router_bench_vm).

-export([figures/2, figures_of_all/2, series/1, points_max/0, points/2]).

-export_type([figures/0, series/0]).

%% As `cp1_format' has them.
-type figures() :: #{atom() => term()}.
-type series() :: #{name := atom(), unit := atom(), time_ms := [non_neg_integer()],
                    values := [non_neg_integer()]}.

-define(POINTS_MAX, 15).

%% @doc The figures of a block in which so many requests were sent.
-spec figures(router_bench_sampler:samples(), Requests :: non_neg_integer()) -> figures().
figures(#{probes := Probes, lateness := Lateness, events := Events} = Samples, Requests) ->
    Known = per_request([Samples], Requests) ++
            [{scheduler_utilization_pct, utilization(Samples)},
             {run_queue, mean_and_max(points(run_queue, Samples))},
             {longest_mailbox, highest(points(longest_mailbox, Samples))},
             {backpressure_active_ms, active_ms(points(backpressure_active, Samples))},
             {sampler, #{lateness => Lateness, probes => Probes}}],
    maps:merge(Events, known(Known)).

known(Figures) ->
    maps:from_list([{Key, Value} || {Key, Value} <- Figures, Value =/= absent]).

%% @doc What can be said of several VMs together, to which so many requests were sent: what they did for one, how
%% many events they had, and the longest mailbox of any. One that is unknown of a VM is of all.
-spec figures_of_all([router_bench_sampler:samples(), ...], Requests :: non_neg_integer()) -> figures().
figures_of_all(All, Requests) ->
    Events = [{Key, of_all(fun lists:sum/1, [maps:get(Key, Events, absent) || #{events := Events} <- All])}
              || Key <- [long_gc, long_schedule]],
    known(per_request(All, Requests) ++ Events
          ++ [{longest_mailbox, of_all(fun lists:max/1, [highest(points(longest_mailbox, Samples)) || Samples <- All])}]).

of_all(Together, Values) ->
    case lists:member(absent, Values) of
        true -> absent;
        false -> Together(Values)
    end.

%% @doc What was sampled over time, at most {@link points_max/0} points of each. Of the schedulers'
%% times only their ratio has a meaning: it stands for them, in per mille of the time between two
%% samples.
-spec series(router_bench_sampler:samples()) -> [series()].
series(#{series := Sampled} = Samples) ->
    Derived = [#{name => Name, unit => per_mille, points => ratios(Active, Total, 1000)}
               || {Name, Active, Total} <- utilizations(Samples)],
    [#{name => Name, unit => Unit, time_ms => [T || {T, _} <- Thinned],
       values => [V || {_, V} <- Thinned]}
     || #{name := Name, unit := Unit, points := [_ | _] = Points} <- Sampled ++ Derived,
        Unit =/= native,
        Thinned <- [thinned(Points)]].

%% @doc Most points of a series in a report.
-spec points_max() -> pos_integer().
points_max() -> ?POINTS_MAX.

%% The same number of points left out between any two that stay, so that a report of many blocks
%% can be stored. Figures are made of all points.
thinned(Points) ->
    Stride = (length(Points) + ?POINTS_MAX - 1) div ?POINTS_MAX,
    [Point || {Place, Point} <- lists:zip(lists:seq(0, length(Points) - 1), Points),
              Place rem Stride =:= 0].

%% @doc The readings of one series, none where it could not be read.
-spec points(Name :: atom(), router_bench_sampler:samples()) ->
          [{TimeMs :: non_neg_integer(), Value :: non_neg_integer()}].
points(Name, #{series := Sampled}) ->
    lists:append([Points || #{name := Of, points := Points} <- Sampled, Of =:= Name]).

per_request(All, Requests) ->
    [{Figure, of_requests(of_all(fun lists:sum/1, [counted(points(Name, Samples)) || Samples <- All]), Requests)}
     || {Figure, Name} <- [{reductions_per_request, reductions},
                           {garbage_collections_per_request, garbage_collections}]].

of_requests(Counted, Requests) when is_integer(Counted), Requests > 0 -> rounded(Counted / Requests);
of_requests(_, _) -> absent.

counted([_, _ | _] = Points) ->
    case grown(Points) of
        Grown when Grown >= 0 -> Grown;
        _ -> absent
    end;
counted(_) ->
    absent.

%% By how much a series grew in the measured time: not between two points of the same time, where
%% nothing was measured.
grown([{T1, V1} | [{T2, V2} | _] = Rest]) when T2 > T1 -> V2 - V1 + grown(Rest);
grown([_ | Rest]) -> grown(Rest);
grown([]) -> 0.

utilizations(Samples) ->
    [{scheduler_utilization_normal, points(schedulers_normal_active, Samples),
      points(schedulers_normal_total, Samples)},
     {scheduler_utilization_dirty, points(schedulers_dirty_active, Samples),
      points(schedulers_dirty_total, Samples)}].

%% Of all the measured time.
utilization(Samples) ->
    Known = [{Key, rounded(Active / Total)}
             || {Key, {_, ActivePoints, TotalPoints}}
                    <- lists:zip([normal, dirty], utilizations(Samples)),
                {Active, Total} <- [{100 * grown(ActivePoints), grown(TotalPoints)}],
                Active >= 0, Total > 0],
    case Known of
        [] -> absent;
        _ -> maps:from_list(Known)
    end.

%% The growth of one series per `Scale' of that of another, between each sample and the one before.
ratios([{T1, Part1} | [{T, Part2} | _] = Parts],
       [{_, Whole1} | [{T, Whole2} | _] = Wholes], Scale) ->
    Rest = ratios(Parts, Wholes, Scale),
    case Whole2 - Whole1 of
        Grown when Grown > 0, T > T1 ->
            [{T, min(Scale, max(0, round(Scale * (Part2 - Part1) / Grown)))} | Rest];
        _ ->
            Rest
    end;
ratios(_, _, _) ->
    [].

mean_and_max([]) ->
    absent;
mean_and_max(Points) ->
    Values = [V || {_, V} <- Points],
    #{mean => rounded(lists:sum(Values) / length(Values)), max => lists:max(Values)}.

highest([]) -> absent;
highest(Points) -> lists:max([V || {_, V} <- Points]).

%% The share of samples with the flag set, of the time from first to last.
active_ms([]) ->
    absent;
active_ms([{FirstMs, _} | _] = Points) ->
    {LastMs, _} = lists:last(Points),
    round((LastMs - FirstMs) * lists:sum([V || {_, V} <- Points]) / length(Points)).

%% Six decimal places: below what any of these figures can tell.
rounded(Float) ->
    round(Float * 1.0e6) / 1.0e6.
