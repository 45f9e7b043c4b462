package gateway

import (
	"errors"
	"fmt"
	"slices"
)

// Validate checks all settings together. Run calls it.
func (g *Gateway) Validate() error {
	g.inherit()
	return g.validate()
}

// validate returns an error if a required field is not set.
func (g *Gateway) validate() error {
	if g.Queue == nil {
		return errors.New("gateway: Gateway.Queue is not set")
	}
	for i, d := range g.Listeners {
		switch {
		case d == nil || d.Server == nil:
			return fmt.Errorf("gateway: Listeners[%d] has no Server", i)
		case d.Server.Handler == nil:
			return fmt.Errorf("gateway: the Server of Listeners[%d] has no Handler: policy.Gate.Install sets it", i)
		}
	}
	if i := slices.Index(g.Closers, nil); i >= 0 {
		return fmt.Errorf("gateway: Closers[%d] is nil", i)
	}
	if g.Tracking != nil && g.Tracking.Dir == "" {
		return errors.New("gateway: Tracking.Dir is not set")
	}
	return nil
}
