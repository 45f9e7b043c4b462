// Package prometheus registers the statistics of a relay with
// prometheus/client_golang, for programs that export other metrics with that library.
// A program that exports nothing else does not need it: see package metrics.
//
//	registry.MustRegister(prometheus.Collector{Exporter: &metrics.Exporter{Gateway: relay}})
//
// It is a module of its own, so that the core does not depend on client_golang.
package prometheus
