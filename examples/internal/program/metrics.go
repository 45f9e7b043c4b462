package program

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

// serveMetrics is the web server of -metrics. When ctx ends, it answers the active
// requests and returns.
func serveMetrics(ctx context.Context, relay *gateway.Gateway, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", &metrics.Exporter{Gateway: relay, Logger: relay.Logger})
	mux.HandleFunc("/healthz", relay.Healthz)
	mux.HandleFunc("/readyz", relay.Readyz)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- web.Shutdown(context.WithoutCancel(ctx)) })
	relay.Logger.Info("metrics", "address", l.Addr().String())
	if err := web.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return <-stopped
}
