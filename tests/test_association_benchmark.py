"""x"""


def test_the_benchmark_measures_crowds_and_files(params, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", PROFILE.parent / "benchmarks" / "association.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench", bench)  # dataclasses look their module up
    spec.loader.exec_module(bench)
    case = bench.Case(params, people=6, dimension=8, frames=20, seed=0, repeats=1, scores=True)
    crowd_result = bench.measure(case)
    assert crowd_result["frames"] == 20
    assert crowd_result["IDF1"] > 0.6
    assert crowd_result["ms_per_frame"]["fastest"] > 0

    frames = list(bench.generated_crowd(6, 8, 20, 0))
    np.savez(
        tmp_path / "crowd.npz",
        frame=np.repeat(np.arange(1, 21), [len(f.boxes) for f in frames]),
        boxes=np.concatenate([f.boxes for f in frames]),
        scores=np.concatenate([f.scores for f in frames]),
        embeddings=np.concatenate([f.embeddings for f in frames]),
        gt_frame=np.repeat(np.arange(1, 21), 6),
        gt_identity=np.concatenate([f.true_identities for f in frames]),
        gt_boxes=np.concatenate([f.true_boxes for f in frames]),
    )
    from_file = bench.measure(dataclasses.replace(case, npz=tmp_path / "crowd.npz"))
    for name in ("IDF1", "MOTA", "HOTA", "IDSW", "detections_per_frame"):
        assert from_file[name] == crowd_result[name]
    np.savez(tmp_path / "short.npz", frame=[1, 1], boxes=np.zeros((1, 4)), scores=[0.5, 0.5])
    with pytest.raises(InputError, match="'boxes' has 1 rows, expected 2"):
        bench.read_npz(tmp_path / "short.npz")
