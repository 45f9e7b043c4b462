package console

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// logLevelsView has the log levels of the parts of the relay.
type logLevelsView struct {
	Parts []logLevel `json:"parts"`
}

// logLevel is the log level of one part.
type logLevel struct {
	Part  string `json:"part"`
	Level string `json:"level" doc:"debug, info, warn or error. Lines below it are not logged."`
}

// logLevels are the choices of the page.
var logLevels = []string{"debug", "info", "warn", "error"}

func showLogLevels(x *call, _ struct{}) (*logLevelsView, error) {
	v := &logLevelsView{Parts: []logLevel{}}
	all := x.console.Gateway.Levels()
	for _, part := range slices.Sorted(maps.Keys(all)) {
		v.Parts = append(v.Parts, logLevel{part, strings.ToLower(all[part].Level().String())})
	}
	return v, nil
}

// logLevelParams are the new log level of a part.
type logLevelParams struct {
	Part  string `param:"part" doc:"The name of the part."`
	Level string `param:"level" doc:"debug, info, warn or error."`
}

func planLogLevel(x *call, p logLevelParams) (*plan, error) {
	part, found := x.console.Gateway.Levels()[p.Part]
	if !found {
		return nil, wrongParameter("part", "there is no part "+inert(strconv.Quote(p.Part)))
	}
	name := strings.ToLower(p.Level)
	var level slog.Level
	if !slices.Contains(logLevels, name) || level.UnmarshalText([]byte(name)) != nil {
		return nil, wrongParameter("level", inert(strconv.Quote(p.Level))+" is not "+strings.Join(logLevels, ", "))
	}
	return &plan{
		Title: "Log " + p.Part + " at " + name, Text: "The level applies at once, until the relay ends.", Count: 1, Things: "part", Back: "/loglevels",
		do: func(context.Context) (int, error) {
			part.Set(level)
			return 1, nil
		},
	}, nil
}
