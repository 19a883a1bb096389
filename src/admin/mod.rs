//! /metrics, /healthz and /readyz.
