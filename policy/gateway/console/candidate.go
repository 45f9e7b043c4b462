package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
)

// compareParams select the lines of the tracking log.
type compareParams struct {
	Since time.Time `param:"since" doc:"The first line. Default 24 hours ago."`
	Until time.Time `param:"until" doc:"The last line. Default now."`
}

// compareTime is how long a comparison may take. Its result is then partial.
const compareTime = maxTime - 5*time.Second

func compareCandidate(x *call, p compareParams) (*compare.Result, error) {
	log := x.console.Gateway.Tracking
	switch {
	case x.console.Candidate == nil:
		return nil, refuse(http.StatusNotFound, "The relay has no candidate: Console.Candidate is not set.")
	case log == nil:
		return nil, refuse(http.StatusConflict, "The relay has no tracking log: Gateway.Tracking is not set.")
	case !p.Since.IsZero() && !p.Until.IsZero() && p.Until.Before(p.Since):
		return nil, wrongParameter("until", "it is before since")
	}
	if p.Since.IsZero() {
		p.Since = time.Now().Add(-24 * time.Hour)
		if !p.Until.IsZero() {
			p.Since = p.Until.Add(-24 * time.Hour)
		}
	}
	c, err := x.console.Candidate(x.ctx())
	if err != nil {
		return nil, refuse(http.StatusConflict, fmt.Sprintf("The candidate cannot be read: %v", err))
	}
	if c == nil {
		return nil, refuse(http.StatusNotFound, "There is no candidate: the relay has no settings to compare with those in use.")
	}
	run := &compare.Comparison{Gateway: x.console.Gateway, Candidate: *c, Limits: compare.Limits{Time: compareTime, Domains: maxPageRows}}
	result, err := run.Log(x.ctx(), log.Dir, p.Since, p.Until)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(http.StatusConflict, "The tracking log is empty: the relay has written no line yet.")
	}
	return result, err
}
